"""Test evidence: the result of a version's tests when it was submitted, kept sealed with it.

`coe.review.suites` produces it. The verb of the submission requires that it belongs to the content
and the tests that are submitted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select

from coe.catalog.models import EntryKind, EntryVersion, FlowKind
from coe.catalog.scope import readable_versions
from coe.catalog.tables import VERSIONS
from coe.catalog.versions.disclosure import IDENTITY, disclose
from coe.catalog.versions.sealing import problems_from_json, problems_to_json, seal
from coe.errors import Conflict, Invalid, Problem, Severity, errors_in
from coe.formats import instants
from coe.json_types import JSON
from coe.language.lint import Standard, published
from coe.language.lint.standards_rules import COVERAGE_STANDARD
from coe.work import Read, Work

_COLUMN: Final = "evidence_sealed"


@dataclass(frozen=True, slots=True)
class TestCaseEvidence:
    """One test: it passed if it has no failures."""

    __test__ = False  # pytest must not collect it

    name: str
    failures: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class TestEvidence:
    """The result of the tests of one content.

    `branches` and `steps` are of the definition, each with how many the tests reached; the
    `branches` of a decision table are its rules. `missed` names those that no test reached.
    `problems` prevented the tests, or say that they reach too little. `seconds` is how long they
    took. `template` is the version of a template of which the content is an unchanged rendering:
    its own tests reach every branch, over all its renderings.
    """

    __test__ = False

    digest: str
    tests_digest: str | None
    at: datetime
    cases: tuple[TestCaseEvidence, ...] = ()
    branches: int = 0
    branches_reached: int = 0
    steps: int = 0
    steps_reached: int = 0
    missed: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    seconds: float = 0.0
    template: str | None = None

    @property
    def failed(self) -> int:
        """The number of tests that failed."""
        return sum(bool(case.failures) for case in self.cases)

    @property
    def passed(self) -> bool:
        """Whether all tests passed and reach enough."""
        return not self.failed and not errors_in(self.problems)

    @property
    def findings(self) -> tuple[Problem, ...]:
        """Everything that was found: the problems, and the failures of the tests."""
        return (*self.problems, *(each for case in self.cases for each in case.failures))


def coverage_standard(read: Read) -> Standard | None:
    """The standard of the tests, if it is in force."""
    standards = published(read.platform.settings.content_dir)
    return standards.standards.get(COVERAGE_STANDARD)


def is_tested(kind: EntryKind, flow_kind: FlowKind | None) -> bool:
    """Whether the platform runs the tests of such a version; a local flow is its team's code."""
    return kind is not EntryKind.SYSTEM and flow_kind is not FlowKind.LOCAL


async def keep_evidence(
    work: Work, version: EntryVersion, evidence: TestEvidence | None
) -> tuple[Problem, ...]:
    """Require that the tests of a version passed, as far as the standard says, and keep the result.

    Returns:
        What the standard reports without refusing.

    Raises:
        Invalid: The tests are missing, failed or reach too little.
        Conflict: The version was changed after its tests ran.
    """
    if not is_tested(version.kind, version.flow_kind):
        return ()
    standard = coverage_standard(work)
    found: tuple[Problem, ...]
    if evidence is None:
        found = () if standard is None else (missing_tests(standard),)
    else:
        if (evidence.digest, evidence.tests_digest) != (version.digest, version.tests_digest):
            raise Conflict("the draft was changed while its tests ran: submit it again")
        severity = standard.severity if standard else Severity.INFO
        found = tuple(_at_most(each, severity) for each in evidence.findings)
        version.evidence_sealed = await seal(
            work.keyring, version, _COLUMN, evidence_to_json(evidence)
        )
    if errors_in(found):
        raise Invalid(found)
    return found


def missing_tests(standard: Standard) -> Problem:
    """The problem of a version that is submitted without tests."""
    help = "write tests.yaml beside the file and register it again; over the API, send `tests`"
    return Problem(
        COVERAGE_STANDARD, "the version has no tests", standard.severity, path="/tests", help=help
    )


async def evidence_of(read: Read, version_ids: Sequence[UUID]) -> dict[UUID, TestEvidence]:
    """The evidence of the versions that have some and that the actor may read."""
    query = select(*IDENTITY, VERSIONS.c.evidence_sealed).where(
        VERSIONS.c.id.in_(version_ids),
        VERSIONS.c.evidence_sealed.is_not(None),
        readable_versions(read),
    )
    return {
        row.id: evidence_from_json((await disclose(read, row, _COLUMN))[0])
        for row in (await read.session.execute(query)).all()
    }


async def tests_of(
    read: Read,
    version_ids: Sequence[UUID],
    *,
    handed_out: bool = True,  # noqa: PT028  # no test
) -> dict[UUID, str]:
    """The text of the tests of the versions that have some of their own, if readable.

    `handed_out` as for `disclose`.
    """
    query = select(*IDENTITY, VERSIONS.c.tests_sealed).where(
        VERSIONS.c.id.in_(version_ids),
        VERSIONS.c.tests_sealed.is_not(None),
        readable_versions(read),
    )
    return {
        row.id: str((await disclose(read, row, "tests_sealed", handed_out=handed_out))[0])
        for row in (await read.session.execute(query)).all()
    }


def evidence_to_json(evidence: TestEvidence) -> dict[str, JSON]:
    """Evidence as JSON."""
    cases: list[JSON] = [
        {"name": case.name, "failures": problems_to_json(case.failures)} for case in evidence.cases
    ]
    return {
        "digest": evidence.digest,
        "testsDigest": evidence.tests_digest,
        "at": instants.write(evidence.at),
        "cases": cases,
        "problems": problems_to_json(evidence.problems),
        "missed": list(evidence.missed),
        "template": evidence.template,
        **{name: getattr(evidence, name) for name in _NUMBERS},
    }


def evidence_from_json(value: JSON) -> TestEvidence:
    """Evidence from its JSON."""
    given: Mapping[str, Any] = value if isinstance(value, dict) else {}
    return TestEvidence(
        digest=given["digest"],
        tests_digest=given["testsDigest"],
        at=instants.read(given["at"]),
        cases=tuple(
            TestCaseEvidence(case["name"], problems_from_json(case["failures"]))
            for case in given["cases"]
        ),
        problems=problems_from_json(given["problems"]),
        missed=tuple(given["missed"]),
        template=given["template"],
        **{name: given[name] for name in _NUMBERS},
    )


_NUMBERS: Final = ("branches", "branches_reached", "steps", "steps_reached", "seconds")
_RANK: Final = (Severity.INFO, Severity.WARNING, Severity.ERROR)


def _at_most(problem: Problem, severity: Severity) -> Problem:
    """The problem with the severity of the standard, if that is lower."""
    lower = min(problem.severity, severity, key=_RANK.index)
    return replace(problem, severity=lower)
