"""The cases that decision tables decided, and past cases run on another version."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import strawberry

from coe.api.context import Context, Info
from coe.api.ids import to_global
from coe.api.nodes import field
from coe.api.paging import PageInfo, checked
from coe.api.runs import Run, run_by_id
from coe.api.scalars import Json, Moment
from coe.errors import NotFound
from coe.paging import Page
from coe.runs.decision_cases import CaseData, CaseFilter, CaseRecord, cases_page, read_case_data
from coe.runs.decision_replay import ChangedCase, Outcome, Replayed, ReplayRequest, replay

if TYPE_CHECKING:
    from coe.api.decisions import DecisionTableVersion


async def data_of(context: Context, ids: list[UUID]) -> list[CaseData | None]:
    """Inputs and outputs of cases that the caller may read; that they were read is recorded."""
    async with context.work() as work:
        found = await read_case_data(work, ids)
    return [found.get(case_id) for case_id in ids]


@strawberry.type(description="One decision of one run")
class DecisionCase:
    """One decision of one run."""

    row: strawberry.Private[CaseRecord]
    id: strawberry.ID
    decision: str = strawberry.field(description="Ref of the exact version that decided")
    flow: str = strawberry.field(description="Ref of the flow, without a version")
    path: str = strawberry.field(description="JSON pointer of the task in the definition")
    at: Moment
    rules: list[str] = strawberry.field(description="The rules that fired, in their order")
    failed: bool = strawberry.field(description="Whether the table had no answer")

    @classmethod
    def of(cls, row: CaseRecord) -> DecisionCase:
        """The view of a case."""
        return cls(
            row=row,
            id=strawberry.ID(to_global("DecisionCase", row.id)),
            decision=f"{row.decision}@{row.version}",
            flow=row.flow,
            path=row.path,
            at=Moment(row.at),
            rules=list(row.rules),
            failed=row.failed,
        )

    @field
    async def run(self, info: Info) -> Run:
        """The run that asked."""
        row = await info.context.load(run_by_id, self.row.run_id)
        if row is None:
            raise NotFound
        return Run.of(row)

    @field
    async def input(self, info: Info) -> Json | None:
        """Decrypted for a caller who holds run:read_data, else null; the reading is recorded."""
        data = await info.context.load(data_of, self.row.id)
        return Json(data.input) if data and data.input is not None else None

    @field
    async def output(self, info: Info) -> Json | None:
        """Decrypted for a caller who holds run:read_data, else null; the reading is recorded."""
        data = await info.context.load(data_of, self.row.id)
        return Json(data.output) if data and data.output is not None else None


@strawberry.type(description="A case and its place in a list")
class DecisionCaseEdge:
    """A case and its cursor."""

    cursor: str
    node: DecisionCase


@strawberry.type(description="A page of cases, the oldest first")
class DecisionCaseConnection:
    """A page of cases."""

    edges: list[DecisionCaseEdge]
    nodes: list[DecisionCase]
    page_info: PageInfo
    total_count: int

    @classmethod
    def of(cls, page: Page[CaseRecord]) -> DecisionCaseConnection:
        """The view of a page."""
        nodes = [DecisionCase.of(row) for row in page.items]
        edges = [
            DecisionCaseEdge(cursor=cursor, node=node)
            for cursor, node in zip(page.cursors, nodes, strict=True)
        ]
        return cls(edges=edges, nodes=nodes, page_info=PageInfo.of(page), total_count=page.total)


async def cases_of(
    info: Info, decision: str, version: str, first: int | None, after: str | None
) -> DecisionCaseConnection:
    """The cases that one version decided."""
    wanted = CaseFilter(decision=decision, version=version)
    async with info.context.read() as read:
        page = await cases_page(read, wanted, first=checked(first), after=after)
    return DecisionCaseConnection.of(page)


# ---------------------------------------------------------------- replay
@strawberry.input(description="Which version, and on which past cases of its table it is tried")
class ReplayDecisionInput:
    """Which version, and on which past cases it is tried."""

    ref: str = strawberry.field(description="Ref with an exact version, mostly a draft")
    after: Moment | None = strawberry.field(
        default=None, description="Cases decided at this time or later"
    )
    before: Moment | None = strawberry.field(
        default=None, description="Cases decided before this time"
    )
    flows: list[str] | None = strawberry.field(
        default=None, description="Cases in runs of these flows, refs without a version"
    )
    first: int = strawberry.field(
        default=200, description="How many cases are gone through, the oldest first; at most 1000"
    )
    cursor: str | None = strawberry.field(
        default=None, description="The end cursor of the part before"
    )

    def request(self) -> ReplayRequest:
        """The same for the verb."""
        return ReplayRequest(
            ref=self.ref,
            after=self.after,
            before=self.before,
            flows=tuple(self.flows or ()),
            first=self.first,
            cursor=self.cursor,
        )


@strawberry.type(description="What a table says of a case, or why it has no answer")
class DecisionOutcome:
    """What a table says of a case."""

    output: Json | None
    rules: list[str] = strawberry.field(description="The rules that fire, in their order")
    failure: str | None

    @classmethod
    def of(cls, row: Outcome) -> DecisionOutcome:
        """The view of an outcome."""
        output = None if row.output is None else Json(row.output)
        return cls(output=output, rules=list(row.rules), failure=row.failure)


@strawberry.type(description="A past case whose outcome, or whose rules, the version changes")
class ChangedDecision:
    """A past case that the version changes."""

    case: DecisionCase
    before: DecisionOutcome
    after: DecisionOutcome
    same_outcome: bool = strawberry.field(
        description="Only the rules are others; what they give is the same",
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


@strawberry.type(description="What a version makes of a part of the past cases of its table")
class DecisionReplay:
    """What a version makes of past cases."""

    row: strawberry.Private[Replayed]
    nodes: list[ChangedDecision] = strawberry.field(
        description="The cases of this part that change",
    )
    same: int = strawberry.field(description="Cases of this part that do not change")
    other_rules: int = strawberry.field(
        description="Cases of this part with the same outcome by other rules",
    )
    changed: int = strawberry.field(description="Cases of this part with another outcome")
    failed: int = strawberry.field(
        description="Cases of this part that had an answer, and have none any more",
    )
    total_count: int = strawberry.field(description="Cases of all parts")
    hidden_count: int | None = strawberry.field(
        description="Cases that are left out, for their data is not the caller's to read; "
        "null for who does not work on the table",
    )
    page_info: PageInfo

    @classmethod
    def of(cls, row: Replayed) -> DecisionReplay:
        """The view of a replay."""
        place = PageInfo(
            has_next_page=row.has_next,
            has_previous_page=row.continued,
            start_cursor=None,
            end_cursor=row.end_cursor,
        )
        return cls(
            row=row,
            nodes=[ChangedDecision.of(item) for item in row.items],
            same=row.same,
            other_rules=row.other_rules,
            changed=row.changed,
            failed=row.failed,
            total_count=row.total,
            hidden_count=row.hidden,
            page_info=place,
        )

    @field
    async def version(
        self,
    ) -> Annotated[DecisionTableVersion, strawberry.lazy("coe.api.decisions")]:
        """The version that was tried."""
        from coe.api.decisions import DecisionTableVersion  # noqa: PLC0415  # they name each other

        return DecisionTableVersion.of(self.row.version)


@strawberry.type
class DecisionReplayQuery:
    """The part of Query that tries versions of decision tables."""

    @field
    async def replay_decision(self, info: Info, input: ReplayDecisionInput) -> DecisionReplay:  # noqa: A002  # the contract's name
        """Past cases on another version of their table: which outcomes change; recorded.

        The cases are those whose data the caller may read (run:read_data).
        """
        async with info.context.work() as work:
            return DecisionReplay.of(await replay(work, input.request()))
