"""`coe decision check`."""

from __future__ import annotations

from pathlib import Path

import click

from coe.cli.grammar import example, verb
from coe.cli.output import Result, printed


@verb()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@example("coe decision check catalog/decisions")
@printed("sarif")
def check(files: tuple[Path, ...]) -> Result:
    """Check decision tables, offline: their form, gaps, overlaps, and rules that never fire.

    Exit code 0 without errors, 1 with errors.
    """
    from coe.cli.decision.table_files import check_tables, sarif  # noqa: PLC0415  # YAML is slow to import
    from coe.language.check import has_errors  # noqa: PLC0415  # the same

    found = check_tables(files)
    return Result(
        [each.to_json() for each in found],
        [str(each) for each in found],
        code=int(has_errors(found)),
        formats={"sarif": lambda: sarif(found)},
    )
