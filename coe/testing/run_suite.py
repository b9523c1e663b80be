"""Run a whole suite: the files of a folder in, results and coverage out.

It needs no process but the jq workers, which the caller shares between suites. The cases of a suite
run concurrently.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from coe.errors import Invalid, Problem, Severity
from coe.json_types import JSON
from coe.language.check import FileProblem, has_errors
from coe.language.lint.standards import Standard, Standards
from coe.language.lint.standards_rules import COVERAGE_STANDARD
from coe.language.names.directory import NOTHING_KNOWN, KnownNames
from coe.language.source import Mark, point
from coe.machine.machine import EvaluateJq
from coe.templates.manifest import FLOW, MANIFEST, TESTS
from coe.testing.cases import Trace
from coe.testing.coverage import Coverage, CoverageResult
from coe.testing.run_definition import LeafRunner
from coe.testing.step_names import name_problems
from coe.testing.stubs import unused_stub
from coe.testing.subjects import DefinitionUnderTest, Subject, subject_of
from coe.testing.suite_format import WrittenSuite, read_suite
from coe.testing.suites import CaseVerdict, Difference, judge

_HOW_TO_START: Final = (
    "write tests.yaml beside flow.yaml, starting with\n"
    "  tests:\n"
    "    - name: what is expected\n"
    "      input: {…}\n"
    "      stubs: {nameOfAStep: {output: {…}}}\n"
    "      expect: {state: COMPLETED, output: {…}}"
)


@dataclass(frozen=True, slots=True)
class CaseResult:
    """The result of one test. `line` and `column` locate it in `tests.yaml`."""

    name: str
    line: int | None
    column: int | None
    state: str | None
    seconds: float
    failures: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class SuiteResult:
    """The result of a suite.

    `problems` prevented its run or, with the code of the standard, report that the tests reach too
    little. `covered` is None if only some of the tests ran, or none could.
    """

    cases: tuple[CaseResult, ...]
    problems: tuple[FileProblem, ...]
    covered: CoverageResult | None = None

    @property
    def passed(self) -> bool:
        """Whether all tests passed and reach enough."""
        return not has_errors(self.problems) and not any(case.failures for case in self.cases)


async def run_suite(
    files: Mapping[str, str],
    evaluate: EvaluateJq,
    *,
    standards: Standards,
    only: str | None = None,
    runner: LeafRunner | None = None,
    names: KnownNames = NOTHING_KNOWN,
) -> SuiteResult:
    """Run the tests in the files of a folder.

    Args:
        files: Path to text: `flow.yaml` and `tests.yaml`; of a template also its other files.
        evaluate: Runs jq programs.
        standards: `COVERAGE_STANDARD` among them sets the minimum coverage.
        only: Run only tests with this text in their names, and measure no coverage.
        runner: Carries out calls that have no stub, such as decisions.
        names: Those that exist, which computed roles are looked up in.
    """
    written, problems = _read(files, standards)
    try:
        subject = subject_of(files)
        examples = list(subject.examples())
    except Invalid as error:
        return SuiteResult((), _in(FLOW, error.problems) + _in(TESTS, problems))
    if written is None:
        return SuiteResult((), _in(TESTS, problems))
    tested, problems = _definitions(written, subject)
    if not problems:
        every = [each.definition for each in (*tested, *examples)]
        problems = tuple(name_problems(written, every))
    if problems:
        return SuiteResult((), _in(TESTS, problems))
    chosen = [index for index, test in enumerate(written.tests) if _is_chosen(test, only)]
    results = await asyncio.gather(
        *(
            _judge(written, index, tested[index], evaluate, runner=runner, names=names)
            for index in chosen
        )
    )
    cases = tuple(case for case, _ in results)
    passed = {
        index: trace
        for index, (case, trace) in zip(chosen, results, strict=True)
        if trace is not None and not case.failures
    }
    unused = _in(TESTS, tuple(_unused(written, passed)))
    if only is not None:
        return SuiteResult(cases, unused)
    covered = _located(_coverage(examples, tested, [trace for _, trace in results]), subject)
    return SuiteResult(cases, unused + _in(TESTS, _too_little(covered, standards)), covered)


def _read(
    files: Mapping[str, str], standards: Standards
) -> tuple[WrittenSuite | None, tuple[Problem, ...]]:
    """The tests, or why there are none."""
    if TESTS not in files:
        return None, _missing(standards)
    written, problems = read_suite(files[TESTS], file=TESTS)
    return (None, problems) if written is None else (written, ())


def _unused(written: WrittenSuite, traces: Mapping[int, Trace]) -> Iterator[Problem]:
    """Warn of answers that a test has and its run does not ask for, and of defaults for no test.

    A test that failed says nothing of its answers.
    """
    data: Any = written.source.data
    used: set[str] = set()
    for index, trace in traces.items():
        stubs: Any = written.tests[index].get("stubs", {})
        used |= {name for name in stubs if name not in trace.unused}
        for name in data["tests"][index].get("stubs", {}):
            if name in trace.unused:
                message = unused_stub(name, stubs[name], trace.unused[name])
                yield _warning(written, point("tests", index, "stubs", name), message)
    if len(traces) == len(written.tests):
        for name in data.get("defaults", {}).get("stubs", {}):
            if name not in used:
                message = f"no test asks for the answer of `{name}`"
                yield _warning(written, point("defaults", "stubs", name), message)


def _warning(written: WrittenSuite, place: str, message: str) -> Problem:
    problem = Problem("TEST_STUB_UNUSED", message, Severity.WARNING, place)
    return written.source.located(problem)


def _coverage(
    examples: Sequence[DefinitionUnderTest],
    tested: Sequence[DefinitionUnderTest],
    traces: Sequence[Trace | None],
) -> CoverageResult:
    """What the tests reach of all definitions; a test that could not run reaches nothing."""
    coverage = Coverage()
    for each in examples:
        coverage.add_reachable(each.reach)
    for definition, trace in zip(tested, traces, strict=True):
        if trace is not None:
            coverage.add(definition.reach, trace)
    return coverage.result()


def _in(file: str, problems: Sequence[Problem]) -> tuple[FileProblem, ...]:
    """Problems of one of the files; problems of a template name their file (`in_file`)."""
    named = {point(name): name for name in (MANIFEST, FLOW)}
    return tuple(FileProblem(named.get(each.path or "", file), each) for each in problems)


def _definitions(
    written: WrittenSuite, subject: Subject
) -> tuple[list[DefinitionUnderTest], tuple[Problem, ...]]:
    """The definition of each test, and the problems of their parameters."""
    found: list[DefinitionUnderTest] = []
    problems: list[Problem] = []
    for index, test in enumerate(written.tests):
        parameters = test.get("parameters")
        place = point("tests", index, "parameters")
        line, column = written.source.locate(place) or (None, None)
        try:
            found.append(subject.tested(parameters if isinstance(parameters, dict) else {}))
        except Invalid as error:
            problems += [
                replace(each, path=place, line=line, column=column) for each in error.problems
            ]
    return found, tuple(problems)


def _is_chosen(test: Mapping[str, JSON], only: str | None) -> bool:
    return only is None or only.lower() in str(test.get("name")).lower()


async def _judge(
    written: WrittenSuite,
    index: int,
    tested: DefinitionUnderTest,
    evaluate: EvaluateJq,
    *,
    runner: LeafRunner | None,
    names: KnownNames,
) -> tuple[CaseResult, Trace | None]:
    """Run one test."""
    test = written.tests[index]
    case = {key: value for key, value in test.items() if key != "parameters"}
    place = point("tests", index)
    line, column = written.source.locate(f"{place}/name") or (None, None)
    since = time.perf_counter()
    verdict: CaseVerdict | None = None
    try:
        verdict = await judge(tested.definition, case, evaluate, runner=runner, names=names)
        found: Sequence[Difference] = verdict.differences
    except ValueError as error:
        found = [Difference(str(error), "")]
    failures = tuple(_failure(written, place, each) for each in found)
    spent = time.perf_counter() - since
    trace = None if verdict is None else verdict.trace
    state = None if trace is None else trace.state
    return CaseResult(str(test["name"]), line, column, state, spent, failures), trace


def _failure(written: WrittenSuite, place: str, difference: Difference) -> Problem:
    path = place + difference.path
    line, column = written.source.locate(path) or Mark(1, 1)
    return Problem("TEST_FAILED", difference.message, path=path, line=line, column=column)


# ---------------------------------------------------------------- the standard
def _located(covered: CoverageResult, subject: Subject) -> CoverageResult:
    return replace(
        covered,
        missed_steps=tuple(subject.located(each) for each in covered.missed_steps),
        missed_branches=tuple(subject.located(each) for each in covered.missed_branches),
    )


def minimum(standards: Standards) -> int | None:
    """The percentage of branches and steps that tests must reach; None without the standard."""
    standard = standards.standards.get(COVERAGE_STANDARD)
    return None if standard is None else int(str(standard.options.get("minimum", 100)))


def _too_little(covered: CoverageResult, standards: Standards) -> tuple[Problem, ...]:
    bound = minimum(standards)
    if bound is None:
        return ()
    found = {"branches": covered.percent, "steps": covered.percent_of_steps}
    short = [f"{share:g} % of the {what}" for what, share in found.items() if share < bound]
    message = f"the tests reach {' and '.join(short)}, not {bound} %"
    return (_problem(standards.standards[COVERAGE_STANDARD], message),) if short else ()


def _missing(standards: Standards) -> tuple[Problem, ...]:
    standard = standards.standards.get(COVERAGE_STANDARD)
    if standard is None:
        return (Problem("INPUT_TESTS", f"there is no {TESTS}", help=_HOW_TO_START),)
    return (replace(_problem(standard, f"there is no {TESTS}"), help=_HOW_TO_START),)


def _problem(standard: Standard, message: str) -> Problem:
    return Problem(COVERAGE_STANDARD, message, standard.severity, help=standard.why)
