"""`coe flow test`: the suites at or below folders are run in this process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from coe.errors import CoeError
from coe.language.expressions.evaluator import Expressions
from coe.language.lint.standards import Standards, load_standards, shipped
from coe.templates.manifest import FLOW, MANIFEST, TESTS
from coe.testing.decision_files import DecisionFiles, carried_by, decisions_beside
from coe.testing.run_suite import SuiteResult, run_suite

if TYPE_CHECKING:
    from coe.machine.machine import Evaluate


@dataclass(frozen=True, slots=True)
class Ran:
    """The suites that ran, by their folder, and how long it took together, in seconds."""

    suites: tuple[tuple[Path, SuiteResult], ...]
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether all of them did."""
        return all(suite.passed for _, suite in self.suites)

    @property
    def failed(self) -> int:
        """How many tests failed."""
        return sum(bool(case.failures) for _, suite in self.suites for case in suite.cases)

    @property
    def cases(self) -> int:
        """How many tests were run."""
        return sum(len(suite.cases) for _, suite in self.suites)


def run_folders(
    folders: Sequence[Path],
    *,
    only: str | None = None,
    standards: Path | None = None,
    decisions: Path | None = None,
) -> Ran:
    """Run the tests of every flow and template at or below the folders.

    Args:
        folders: Folders; one that is named twice is tested once.
        only: Run the tests alone that have this text in their name.
        standards: A file of standards in place of the shipped ones.
        decisions: The folder of decision tables; by default the nearest `catalog/decisions`.

    Raises:
        UsageError: A folder holds no flow, or no test has a name like `only`.
        CoeError: The standards cannot be read.
    """
    found = dict.fromkeys(flow for folder in folders for flow in _flows_in(folder))
    rules = _standards(standards)
    since = time.perf_counter()
    suites = asyncio.run(_test(list(found), only, rules, decisions))
    ran = Ran(tuple(zip(found, suites, strict=True)), time.perf_counter() - since)
    if only is not None and ran.cases == 0 and ran.passed:
        raise click.UsageError(f"no test has “{only}” in its name")
    return ran


def _flows_in(folder: Path) -> list[Path]:
    found = sorted({path.parent for name in (FLOW, MANIFEST) for path in folder.rglob(name)})
    if not found:
        raise click.UsageError(f"{folder}: no {FLOW} at or below it")
    return found


def _standards(file: Path | None) -> Standards:
    if file is None:
        return shipped()
    from pydantic import ValidationError  # noqa: PLC0415  # only with the option

    from coe.language.source import Unreadable  # noqa: PLC0415  # the same

    try:
        return load_standards(file)
    except (OSError, Unreadable, ValidationError) as error:
        message = f"{file} holds no standards: {str(error).splitlines()[0]}"
        raise CoeError(message, code="INVALID") from None


async def _test(
    folders: Sequence[Path], only: str | None, standards: Standards, decisions: Path | None
) -> list[SuiteResult]:
    async with Expressions(workers=2) as expressions:
        return [
            await _suite(folder, expressions.evaluate, only, standards, decisions)
            for folder in folders
        ]


async def _suite(
    folder: Path,
    evaluate: Evaluate,
    only: str | None,
    standards: Standards,
    decisions: Path | None,
) -> SuiteResult:
    tables = DecisionFiles(decisions) if decisions else decisions_beside(folder)
    return await run_suite(
        _texts(folder), evaluate, standards=standards, only=only, carry=carried_by(tables)
    )


def _texts(folder: Path) -> dict[str, str]:
    """The text files of a folder, by their path in it."""
    texts: dict[str, str] = {}
    for path in sorted(each for each in folder.rglob("*.*") if each.is_file()):
        try:
            texts[str(path.relative_to(folder))] = path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError:
            if path.name in {FLOW, TESTS, MANIFEST}:
                raise CoeError(f"{path}: is not UTF-8", code="INVALID") from None
    return texts
