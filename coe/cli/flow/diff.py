"""`coe flow diff`."""

from __future__ import annotations

from pathlib import Path

import click

from coe.cli.grammar import example, verb
from coe.cli.output import Result, printed, problem_line


@verb()
@click.argument("old", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("new", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@example("coe flow diff order.yaml order2.yaml")
@printed()
def diff(old: Path, new: Path) -> Result:
    """Compare two versions of one flow by steps; say which version step the changes require.

    Exit code 0, or 1 if NEW breaks a caller of OLD: its input is narrower, its output is wider or
    lacks something, or it can raise a new type of error.
    """
    from coe.cli.flow.definition_files import compare  # noqa: PLC0415  # YAML is slow to import

    comparison = compare(old, new)
    verdict = "breaking" if comparison["breaking"] else "not breaking"
    step = comparison["asks"]
    lines = [
        *(problem_line(change, str(new)) for change in comparison["changes"]),
        f"{verdict}: requires {f'a {step}' if step != 'none' else 'no'} version step",
    ]
    return Result(comparison, lines, code=int(comparison["breaking"]))
