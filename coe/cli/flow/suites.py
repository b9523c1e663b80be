"""Run the suites of tests at or below folders, in this process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from coe.cli.flow.suite_files import SuiteFiles, suites_in
from coe.cli.progress import progress
from coe.errors import CoeError
from coe.language.check import FileProblem
from coe.language.expressions.evaluator import Expressions
from coe.language.lint.standards import Standards, load_standards, published
from coe.language.names.folders import names_in, root_above
from coe.templates.manifest import TESTS
from coe.testing.decision_files import DecisionFiles, decisions_beside, leaf_runner
from coe.testing.run_suite import SuiteResult, run_suite

if TYPE_CHECKING:
    from coe.machine.machine import EvaluateJq


@dataclass(frozen=True, slots=True)
class SuitesReport:
    """The results of suites by their files, and the seconds that they took together."""

    suites: tuple[tuple[SuiteFiles, SuiteResult], ...]
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether all suites passed."""
        return all(suite.passed for _, suite in self.suites)

    @property
    def failed(self) -> int:
        """The number of tests that failed."""
        return sum(bool(case.failures) for _, suite in self.suites for case in suite.cases)

    @property
    def cases(self) -> int:
        """The number of tests that were run."""
        return sum(len(suite.cases) for _, suite in self.suites)


def run_suites(
    places: Sequence[Path],
    *,
    only: str | None = None,
    standards: Path | None = None,
    decisions: Path | None = None,
) -> SuitesReport:
    """Run the tests of every flow and template at or below the places.

    Args:
        places: Folders and definitions; one that is named twice is tested once.
        only: Run only the tests with this text in their name.
        standards: A file of standards instead of the shipped ones.
        decisions: The folder of decision tables; by default the nearest `catalog/decisions`.

    Raises:
        UsageError: A place has no flow, or no test has `only` in its name.
        CoeError: The standards cannot be read.
    """
    found = dict.fromkeys(suite for place in places for suite in _suites_in(place))
    rules = _standards(standards)
    since = time.perf_counter()
    suites = asyncio.run(_test(list(found), only, rules, decisions))
    report = SuitesReport(tuple(zip(found, suites, strict=True)), time.perf_counter() - since)
    if only is not None and report.cases == 0 and report.passed:
        raise click.UsageError(f"no test has “{only}” in its name")
    return report


def _suites_in(place: Path) -> list[SuiteFiles]:
    found = suites_in(place)
    if not found:
        raise click.UsageError(f"{place}: no definition (`document` and `do`) at or below it")
    return found


def _standards(file: Path | None) -> Standards:
    if file is None:
        return published()
    from pydantic import ValidationError  # noqa: PLC0415  # only with the option

    from coe.language.source import Unreadable  # noqa: PLC0415  # the same

    try:
        return load_standards(file)
    except (OSError, Unreadable, ValidationError) as error:
        message = f"{file} is not a file of standards: {str(error).splitlines()[0]}"
        raise CoeError(message, code="INVALID") from None


async def _test(
    suites: Sequence[SuiteFiles], only: str | None, standards: Standards, decisions: Path | None
) -> list[SuiteResult]:
    async with Expressions(workers=2) as expressions:
        tested = []
        with progress("testing", len(suites), unit="suites") as advance:
            for suite in suites:
                result = await _suite(suite, expressions.evaluate, only, standards, decisions)
                tested.append(result)
                advance(len(tested))
        return tested


async def _suite(
    suite: SuiteFiles,
    evaluate: EvaluateJq,
    only: str | None,
    standards: Standards,
    decisions: Path | None,
) -> SuiteResult:
    tables = DecisionFiles(decisions) if decisions else decisions_beside(suite.folder)
    result = await run_suite(
        suite.texts(),
        evaluate,
        standards=standards,
        only=only,
        runner=leaf_runner(tables),
        names=names_in(root_above(suite.folder)),
    )
    return replace(result, problems=tuple(_renamed(each, suite) for each in result.problems))


def _renamed(found: FileProblem, suite: SuiteFiles) -> FileProblem:
    problem = found.problem
    help = suite.renamed(problem.help) if problem.help else None
    return replace(
        found, problem=replace(problem, message=suite.renamed(problem.message), help=help)
    )


def suite_problems(definitions: Sequence[Path]) -> dict[Path, list[FileProblem]]:
    """What a submission would refuse of the tests beside definitions, which have no errors."""
    suites = {path: suites_in(path) for path in definitions}
    wanted = [suite for found in suites.values() for suite in found]
    results = dict(zip(wanted, asyncio.run(_test(wanted, None, published(), None)), strict=True))
    return {
        path: [problem for suite in found for problem in _problems_of(suite, results[suite])]
        for path, found in suites.items()
    }


def _problems_of(suite: SuiteFiles, result: SuiteResult) -> list[FileProblem]:
    failures = [each for case in result.cases for each in case.failures]
    return [
        *(FileProblem(suite.file(each.file), each.problem) for each in result.problems),
        *(FileProblem(suite.file(TESTS), each) for each in failures),
    ]
