"""`coe decision check`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from coe.cli.output import output_option


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@output_option("sarif")
def check(files: tuple[Path, ...], output: str) -> None:
    """Check decision tables, offline: their form, gaps, overlaps, and rules that never fire.

    Exit code 0 without errors, 1 with errors.
    """
    from coe.cli.decision.table_files import check_tables, format_problems  # noqa: PLC0415  # YAML is slow to import
    from coe.language.check import has_errors  # noqa: PLC0415  # the same

    found = check_tables(files)
    click.echo(format_problems(found, output), nl=False)
    sys.exit(1 if has_errors(found) else 0)
