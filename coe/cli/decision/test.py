"""`coe decision test`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from coe.cli.output import output_option, print_json


@click.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@output_option()
def test(folders: tuple[Path, ...], output: str) -> None:
    """Run the tests.yaml beside the tables at or below FOLDERS, offline.

    Exit code 1 if a test fails, a table has errors, or no test lets one of its rules fire.
    """
    from coe.cli.decision.table_files import test_folders  # noqa: PLC0415  # YAML is slow to import

    tested = test_folders(folders)
    if output == "json":
        print_json([each.to_json() for each in tested])
    else:
        for each in tested:
            for line in each.lines():
                click.echo(line)
    sys.exit(0 if all(each.passed for each in tested) else 1)
