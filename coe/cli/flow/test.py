"""`coe flow test`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from coe.cli.output import output_option


@click.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--case", metavar="TEXT", help="Run only the tests with this text in their name.")
@click.option(
    "--standards",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file of standards, with the bound of coverage (COE060), instead of the shipped one.",
)
@click.option(
    "--decisions",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The folder of decision tables; by default the nearest catalog/decisions.",
)
@output_option("junit")
def test(
    folders: tuple[Path, ...],
    case: str | None,
    standards: Path | None,
    decisions: Path | None,
    output: str,
) -> None:
    """Run the tests of the flows and templates at or below FOLDERS, on a simulated clock.

    Exit code 0 if all pass and reach the coverage that the standards require, else 1.
    """
    from coe.cli.flow.suite_output import REPORT_FORMATS  # noqa: PLC0415  # the machine is slow to import
    from coe.cli.flow.suites import run_folders  # noqa: PLC0415  # the same

    report = run_folders(folders, only=case, standards=standards, decisions=decisions)
    click.echo(REPORT_FORMATS[output](report), nl=False)
    sys.exit(0 if report.passed else 1)
