"""Views of the cases that decision tables decided, and of their replay on another version."""

from __future__ import annotations

import strawberry

from coe.api.graphql.context import Info
from coe.api.graphql.ids import to_global
from coe.api.graphql.loaders import case_data, run_by_id
from coe.api.graphql.nodes import field, input_type, object_type
from coe.api.graphql.paging import Connection, PageInfo, page_size
from coe.api.graphql.scalars import DateTime, Json
from coe.api.types.decisions import DecisionTableVersion
from coe.api.types.runs import Run
from coe.runs.decisions.decision_cases import CaseFilter, CaseRecord, cases_page
from coe.runs.decisions.decision_replay import ChangedCase, Outcome, Replayed, ReplayRequest


@object_type
class DecisionCase:
    """One decision of one run."""

    record: strawberry.Private[CaseRecord]
    id: strawberry.ID
    decision: str = strawberry.field(description="Ref of the exact version that decided")
    flow: str = strawberry.field(description="Ref of the flow, without a version")
    path: str = strawberry.field(description="JSON pointer of the task in the definition")
    at: DateTime
    rules: list[str] = strawberry.field(description="The rules that fired, in their order")
    failed: bool = strawberry.field(description="Whether the table had no outcome")

    @classmethod
    def of(cls, record: CaseRecord) -> DecisionCase:
        """The view of a case."""
        return cls(
            record=record,
            id=strawberry.ID(to_global("DecisionCase", record.id)),
            decision=f"{record.decision}@{record.version}",
            flow=record.flow,
            path=record.path,
            at=DateTime(record.at),
            rules=list(record.rules),
            failed=record.failed,
        )

    @field
    async def run(self, info: Info) -> Run:
        """The run that evaluated the table."""
        return Run.of(await info.context.load_existing(run_by_id, self.record.run_id))

    @field
    async def input(self, info: Info) -> Json | None:
        """Decrypted for a caller who holds run:read_data, else null; reading it is recorded."""
        data = await info.context.load(case_data, self.record.id)
        return Json(data.input) if data and data.input is not None else None

    @field
    async def output(self, info: Info) -> Json | None:
        """Decrypted for a caller who holds run:read_data, else null; reading it is recorded."""
        data = await info.context.load(case_data, self.record.id)
        return Json(data.output) if data and data.output is not None else None


async def cases_of(
    info: Info, decision: str, version: str, first: int | None, after: str | None
) -> Connection[DecisionCase]:
    """The cases that one version decided, oldest first."""
    wanted = CaseFilter(decision=decision, version=version)
    async with info.context.read() as read:
        page = await cases_page(read, wanted, first=page_size(first), after=after)
    return Connection.of(page, DecisionCase.of)


@input_type
class ReplayDecisionInput:
    """A version, and the past cases of its table to replay on it."""

    ref: str = strawberry.field(description="Ref with an exact version, mostly a draft")
    after: DateTime | None = strawberry.field(
        default=None, description="Cases decided at this time or later"
    )
    before: DateTime | None = strawberry.field(
        default=None, description="Cases decided before this time"
    )
    flows: list[str] | None = strawberry.field(
        default=None, description="Cases in runs of these flows, refs without a version"
    )
    first: int = strawberry.field(
        default=200, description="How many cases to replay, the oldest first; at most 1000"
    )
    cursor: str | None = strawberry.field(
        default=None, description="The end cursor of the previous part"
    )

    def request(self) -> ReplayRequest:
        """The input of the verb."""
        return ReplayRequest(
            ref=self.ref,
            after=self.after,
            before=self.before,
            flows=tuple(self.flows or ()),
            first=self.first,
            cursor=self.cursor,
        )


@object_type
class DecisionOutcome:
    """The outcome of a table for a case, or why it has none."""

    output: Json | None
    rules: list[str] = strawberry.field(description="The rules that fire, in their order")
    failure: str | None

    @classmethod
    def of(cls, record: Outcome) -> DecisionOutcome:
        """The view of an outcome."""
        output = None if record.output is None else Json(record.output)
        return cls(output=output, rules=list(record.rules), failure=record.failure)


@object_type
class ChangedDecision:
    """A past case whose outcome, or whose rules, the version changes."""

    case: DecisionCase
    before: DecisionOutcome
    after: DecisionOutcome
    same_outcome: bool = strawberry.field(
        description="Whether only the rules differ, and the outcome is the same",
    )

    @classmethod
    def of(cls, item: ChangedCase) -> ChangedDecision:
        """The view of a changed case."""
        return cls(
            case=DecisionCase.of(item.row),
            before=DecisionOutcome.of(item.before),
            after=DecisionOutcome.of(item.after),
            same_outcome=item.same_outcome,
        )


@object_type
class DecisionReplay:
    """The outcomes of a part of the past cases of a table on a version of it."""

    record: strawberry.Private[Replayed]
    nodes: list[ChangedDecision] = strawberry.field(
        description="The cases of this part that change",
    )
    same: int = strawberry.field(description="Cases of this part that do not change")
    other_rules: int = strawberry.field(
        description="Cases of this part with the same outcome from other rules",
    )
    changed: int = strawberry.field(description="Cases of this part with another outcome")
    failed: int = strawberry.field(
        description="Cases of this part that had an outcome and have none on this version",
    )
    total_count: int = strawberry.field(description="Cases of all parts")
    hidden_count: int | None = strawberry.field(
        description="Cases that are left out because the caller may not read their data; "
        "null for a caller who may not register versions of the table",
    )
    page_info: PageInfo

    @classmethod
    def of(cls, record: Replayed) -> DecisionReplay:
        """The view of a replay."""
        page_info = PageInfo(
            has_next_page=record.has_next,
            has_previous_page=record.continued,
            start_cursor=None,
            end_cursor=record.end_cursor,
        )
        return cls(
            record=record,
            nodes=[ChangedDecision.of(item) for item in record.items],
            same=record.same,
            other_rules=record.other_rules,
            changed=record.changed,
            failed=record.failed,
            total_count=record.total,
            hidden_count=record.hidden,
            page_info=page_info,
        )

    @field
    async def version(self) -> DecisionTableVersion:
        """The version on which the cases were replayed."""
        return DecisionTableVersion.of(self.record.version)
