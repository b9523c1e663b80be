"""`coe decision test`."""

from __future__ import annotations

from pathlib import Path

import click

from coe.cli.grammar import example, verb
from coe.cli.output import Result, printed


@verb()
@click.argument("folders", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@example("coe decision test catalog/decisions")
@printed()
def test(folders: tuple[Path, ...]) -> Result:
    """Run the tests.yaml beside the tables at or below FOLDERS, offline.

    Exit code 1 if a test fails, a table has errors, or no test lets one of its rules fire.
    """
    from coe.cli.decision.table_files import test_folders  # noqa: PLC0415  # YAML is slow to import

    tested = test_folders(folders)
    lines = [line for each in tested for line in each.lines()]
    passed = all(each.passed for each in tested)
    return Result([each.to_json() for each in tested], lines, code=0 if passed else 1)
