"""`coe flow test`."""

from __future__ import annotations

from pathlib import Path

import click

from coe.cli.grammar import example, verb
from coe.cli.output import Result, printed


@verb()
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
@example("coe flow test flows", "coe flow test flows --output junit > report.xml")
@printed("junit")
def test(
    folders: tuple[Path, ...],
    case: str | None,
    standards: Path | None,
    decisions: Path | None,
) -> Result:
    """Run the tests of the flows and templates at or below FOLDERS, on a simulated clock.

    The tests of `order.yaml` are in `order.tests.yaml` beside it; those of `flow.yaml`, and of the
    only definition of a folder, in `tests.yaml`.

    Exit code 0 if all pass and reach the coverage that the standards require, else 1.
    """
    from coe.cli.flow.suite_output import as_junit, as_object, as_text  # noqa: PLC0415  # the machine is slow to import
    from coe.cli.flow.suites import run_suites  # noqa: PLC0415  # the same

    report = run_suites(folders, only=case, standards=standards, decisions=decisions)
    return Result(
        as_object(report),
        as_text(report).removesuffix("\n"),
        code=0 if report.passed else 1,
        formats={"junit": lambda: as_junit(report)},
    )
