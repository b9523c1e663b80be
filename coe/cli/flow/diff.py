"""`coe flow diff`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from coe.cli.output import output_option, print_json, problem_line


@click.command()
@click.argument("old", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("new", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@output_option()
def diff(old: Path, new: Path, output: str) -> None:
    """Compare two versions of one flow by steps; say which version step the changes require.

    Exit code 0, or 1 if NEW breaks a caller of OLD: its input is narrower, its output is wider or
    lacks something, or it can raise a new type of error.
    """
    from coe.cli.flow.definition_files import compare  # noqa: PLC0415  # YAML is slow to import

    comparison = compare(old, new)
    if output == "json":
        print_json(comparison)
    else:
        for change in comparison["changes"]:
            click.echo(problem_line(change, str(new)))
        verdict = "breaking" if comparison["breaking"] else "not breaking"
        step = comparison["asks"]
        click.echo(f"{verdict}: requires {f'a {step}' if step != 'none' else 'no'} version step")
    sys.exit(1 if comparison["breaking"] else 0)
