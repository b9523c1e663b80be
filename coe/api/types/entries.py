"""What the views of all entries of the catalog share; systems, reviews and facet values."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, Final, Self
from uuid import UUID

import strawberry

from coe.access.actor import DataClass
from coe.api.graphql.context import Info
from coe.api.graphql.ids import to_global
from coe.api.graphql.loaders import (
    approval_data,
    approval_state_of,
    approvals_of,
    evidence_by_version,
    first_versions,
    notes_of,
    tests_by_version,
    version_by_selector,
)
from coe.api.graphql.nodes import Node, Problem, field, interface, object_type
from coe.api.graphql.paging import Connection, page_size
from coe.api.graphql.scalars import DateTime, Json
from coe.api.types.teams import Team, owner_of
from coe.catalog import queries
from coe.catalog.models import EntryKind, Lifecycle
from coe.catalog.records import EntryRecord, VersionApprovalRecord, VersionRecord
from coe.catalog.records import FacetValue as CountedValue
from coe.catalog.versions.evidence import TestEvidence
from coe.catalog.versions.saving import tests_digest
from coe.runs.task_records import ApprovalData, TaskApprovalRecord

SIGNATURE: Final = (
    "Ed25519 signature by the platform's signing key, in base64: over `publication`, and of a "
    "draft over the bytes of its digest"
)
PUBLICATION: Final = (
    "What is signed of a published version: canonical JSON {type, ref, digest, dataClass, "
    "approvers}, of the type coe-publication/1, or coe-retirement/1 once it is retired"
)


@interface
class CatalogEntry:
    """An entry of the catalog."""

    record: strawberry.Private[EntryRecord]
    at_hand: strawberry.Private[Mapping[str, object]] = dataclasses.field(default_factory=dict)
    id: strawberry.ID
    kind: EntryKind
    ref: str
    title: str
    summary: str
    tags: list[str]
    lifecycle: Lifecycle
    updated_at: DateTime

    @classmethod
    def of(cls, record: EntryRecord) -> Self:
        """The view of an entry."""
        return cls(
            record=record,
            id=strawberry.ID(to_global(cls.__name__, record.id)),
            kind=record.kind,
            ref=record.ref,
            title=record.title,
            summary=record.summary,
            tags=list(record.tags),
            lifecycle=record.lifecycle,
            updated_at=DateTime(record.updated_at),
            **cls._own_fields(record),
        )

    @classmethod
    def _own_fields(cls, record: EntryRecord) -> dict[str, Any]:  # noqa: ARG003  # for types with more fields
        return {}

    @field
    async def owner(self, info: Info) -> Team:
        """The team that owns the entry."""
        return await owner_of(info, self.record.team)


@object_type
class TestCase:
    """One test of a version: it passed if it has no failures."""

    __test__: ClassVar = False  # pytest must not collect it

    name: str
    passed: bool
    failures: list[Problem]


@object_type
class TestResult:
    """The result of a version's tests when it was submitted; the platform ran them."""

    __test__: ClassVar = False

    passed: bool = strawberry.field(description="Whether all passed and reach enough (COE060)")
    at: DateTime
    seconds: float
    cases: list[TestCase]
    failed: int = strawberry.field(description="How many of the cases failed")
    branches: int = strawberry.field(description="Branches, or the rules of a decision table")
    branches_reached: int
    steps: int
    steps_reached: int
    missed: list[str] = strawberry.field(description="Steps and branches that no test reached")
    problems: list[Problem] = strawberry.field(
        description="What prevented the tests, or that they reach too little",
    )
    template: str | None = strawberry.field(
        description="The version of a template of which the flow is an unchanged rendering: the "
        "template's tests reach every branch over all its renderings, so the flow's need not",
    )

    @classmethod
    def of(cls, record: TestEvidence) -> TestResult:
        """The view of the evidence."""
        return cls(
            passed=record.passed,
            at=DateTime(record.at),
            seconds=record.seconds,
            cases=[
                TestCase(
                    name=case.name,
                    passed=not case.failures,
                    failures=Problem.all_of(case.failures),
                )
                for case in record.cases
            ],
            failed=record.failed,
            branches=record.branches,
            branches_reached=record.branches_reached,
            steps=record.steps,
            steps_reached=record.steps_reached,
            missed=list(record.missed),
            problems=Problem.all_of(record.problems),
            template=record.template,
        )


@object_type
class VersionTests:
    """The tests of a version, and their result."""

    text: str | None = strawberry.field(description="The text of its tests.yaml")
    digest: str | None = strawberry.field(description="SHA-256 of that text, in hex")
    result: TestResult | None = strawberry.field(description="Null until it is submitted")


@object_type
class VersionFields(Node):
    """What the versions of all kinds of entries share."""

    record: strawberry.Private[VersionRecord]
    ref: str
    version: str
    lifecycle: Lifecycle
    digest: str
    created_at: DateTime
    created_by: str
    submitted_at: DateTime | None = strawberry.field(
        description="When it was submitted for review last",
    )
    submitted_by: str | None = strawberry.field(description="Who submitted it for review last")
    published_at: DateTime | None
    edited_at: DateTime | None = strawberry.field(
        description="When the draft was last replaced by other content",
    )
    editors: list[str] = strawberry.field(
        description="Who replaced the draft, besides `createdBy`; none of them may review it",
    )

    @classmethod
    def of(cls, record: VersionRecord) -> Self:
        """The view of a version."""
        return cls(
            record=record,
            id=strawberry.ID(to_global(cls.__name__, record.id)),
            ref=record.ref,
            version=record.version,
            lifecycle=record.lifecycle,
            digest=record.digest,
            created_at=DateTime(record.created_at),
            created_by=record.created_by,
            submitted_at=DateTime(record.submitted_at) if record.submitted_at else None,
            submitted_by=record.submitted_by,
            published_at=DateTime(record.published_at) if record.published_at else None,
            edited_at=DateTime(record.edited_at) if record.edited_at else None,
            editors=list(record.editors),
            **cls._own_fields(record),
        )

    @classmethod
    def _own_fields(cls, record: VersionRecord) -> dict[str, Any]:  # noqa: ARG003  # for types with more fields
        return {}

    @field
    async def changelog(self, info: Info) -> str | None:
        """What is new in this version."""
        notes = await info.context.load(notes_of, self.record.id)
        return notes.changelog if notes else None

    @field
    async def approvals(self, info: Info) -> list[Approval]:
        """The decisions of its reviewers, oldest first; those before a refusal count no more."""
        records = await info.context.load(approvals_of, self.record.id)
        return [Approval.of_review(record) for record in records or ()]

    @field
    async def approvals_needed(self, info: Info) -> int:
        """How many people other than its authors must approve it before its publication."""
        state = await info.context.load_existing(approval_state_of, self.record.id)
        return state.needed

    @field
    async def approvals_given(self, info: Info) -> int:
        """How many have approved it since its last submission."""
        state = await info.context.load_existing(approval_state_of, self.record.id)
        return state.given

    @field
    async def tests(self, info: Info) -> VersionTests | None:
        """Its tests, and their result when it was submitted; null if it has none."""
        text = await self._tests_text(info)
        evidence = await info.context.load(evidence_by_version, self.record.id)
        if text is None and evidence is None:
            return None
        return VersionTests(
            text=text,
            digest=None if text is None else tests_digest(text),
            result=TestResult.of(evidence) if evidence else None,
        )

    async def _tests_text(self, info: Info) -> str | None:
        return await info.context.load(tests_by_version, self.record.id)

    @field
    async def submission_comment(self, info: Info) -> str | None:
        """What its author wrote to the reviewers at the last submission."""
        notes = await info.context.load(notes_of, self.record.id)
        return notes.submission_comment if notes else None


class VersionedEntry(CatalogEntry):
    """An entry with versions: the resolvers of its fields `version` and `versions`."""

    VERSION_VIEW: ClassVar[type[VersionFields]]

    async def version_by_ref(self, info: Info, ref: str | None = None) -> Any:
        """The version that a ref names: exact, range or alias.

        Without a ref: of a flow or decision table the one of the alias `live`, of a template the
        highest published one.
        """
        record = await info.context.load(version_by_selector, (self.record.id, selector_of(ref)))
        return self.VERSION_VIEW.of(record) if record else None

    async def version_page(
        self,
        info: Info,
        first: int | None = 20,
        after: str | None = None,
    ) -> Any:
        """All versions that the caller may read, the highest first."""
        size = page_size(first)
        if after is None:
            page = await info.context.load(first_versions, (self.record.id, size))
        else:
            async with info.context.read() as read:
                page = await queries.versions_page(read, self.record.id, first=size, after=after)
        return Connection.of(page, self.VERSION_VIEW.of)


@object_type
class System(CatalogEntry, Node):
    """An application that flows use."""

    version: str | None
    data_class: DataClass

    @classmethod
    def _own_fields(cls, record: EntryRecord) -> dict[str, Any]:
        return {"version": record.current_version, "data_class": record.data_class}


@object_type
class Approval:
    """A reviewer's decision on a version, or a person's on a human task."""

    said: strawberry.Private[str | None]
    answer_id: strawberry.Private[UUID | None]
    by: str
    at: DateTime
    decision: str
    voided: str | None = strawberry.field(
        description="Why the answer to a human task counts no more; null while it counts"
    )

    @classmethod
    def of_task(cls, record: TaskApprovalRecord) -> Approval:
        """The view of an answer to a human task."""
        by = record.voided_by
        return cls(
            said=None,
            answer_id=record.id,
            by=record.by,
            at=DateTime(record.at),
            decision=record.decision,
            voided=f"{by} gave another answer" if by else None,
        )

    @classmethod
    def of_review(cls, record: VersionApprovalRecord) -> Approval:
        """The view of a review."""
        return cls(
            said=record.comment,
            answer_id=None,
            by=record.by,
            at=DateTime(record.at),
            decision=record.decision.value,
            voided=None,
        )

    @field
    async def comment(self, info: Info) -> str | None:
        """Why; reading that of a human task is recorded."""
        data = await self._data(info)
        return data.comment if data else self.said

    @field
    async def answer(self, info: Info) -> Json | None:
        """The answer to a human task that was approved; reading it is recorded."""
        data = await self._data(info)
        return Json(data.answer) if data and data.answer is not None else None

    @field
    async def digest(self, info: Info) -> str | None:
        """The SHA-256 of outcome and answer of a human task: what `agreesTo` names."""
        data = await self._data(info)
        return data.digest if data else None

    async def _data(self, info: Info) -> ApprovalData | None:
        if self.answer_id is None:
            return None
        return await info.context.load(approval_data, self.answer_id)


@object_type
class FacetValue:
    """One value of a facet, and how many entries have it."""

    value: str
    count: int

    @classmethod
    def of(cls, record: CountedValue) -> FacetValue:
        """The view of a counted value."""
        return cls(value=record.value, count=record.count)


def selector_of(ref: str | None) -> str | None:
    """The version part of a ref, for `version(ref:)`: a whole ref or its part after the @."""
    if ref is None:
        return None
    name, separator, selector = ref.rpartition("@")
    if separator:
        return selector or None
    return None if "/" in name + selector else selector or None
