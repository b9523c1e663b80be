"""The audit log: events with their proofs, checkpoints, and whether it all holds.

The verbs stand here, and not in `coe.audit`, because they require and record: both are of
`coe.work`, which stands above it. Reading the log is itself recorded in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

import strawberry
from sqlalchemy import ColumnElement

from coe.access.actor import ActorKind
from coe.access.decision import Decision
from coe.access.permissions import Permission
from coe.api.context import Context, Info, chosen
from coe.api.idempotency import plain
from coe.api.ids import to_global
from coe.api.nodes import Node, Problem, field
from coe.api.paging import PageInfo, checked
from coe.api.scalars import Json, Moment
from coe.audit import queries
from coe.audit.checkpoint import Checkpoint
from coe.audit.events import AuditOutcome, Tag
from coe.audit.findings import Verification
from coe.audit.queries import AuditEventFilter, Inclusion, Window
from coe.audit.records import AUDIT_EVENTS, AuditEventRecord
from coe.audit.verification import verify
from coe.identifiers import PLATFORM_TEAM
from coe.json_types import JSON
from coe.paging import decode, encode
from coe.work import Work

LOG = "audit:log"
PAGE = 50


@strawberry.input(
    description="Which events; every part given must hold. A resource takes in its versions; "
    "a flow or run also what belongs to it",
)
class AuditFilter:
    """Which events."""

    actors: list[str] | None = None
    actions: list[str] | None = None
    resources: list[str] | None = None
    outcomes: list[AuditOutcome] | None = None
    after: Moment | None = None
    before: Moment | None = None
    teams: list[str] | None = None
    correlation_id: str | None = None

    def wanted(self) -> AuditEventFilter:
        """The same for the query."""
        return AuditEventFilter(
            actors=self.actors or (),
            actions=self.actions or (),
            resources=self.resources or (),
            outcomes=self.outcomes or (),
            teams=self.teams or (),
            after=self.after,
            before=self.before,
            correlation_id=self.correlation_id,
        )


def reading(work: Work, permission: Permission) -> Decision:
    """Require a permission on the log: for the CoE's part of it, else for a team of the actor.

    Raises:
        Forbidden: The actor holds it nowhere.
    """
    teams = [PLATFORM_TEAM, *sorted(work.policy.teams(work.actor.subject))]
    allowed = (team for team in teams if work.decide(permission, team=team).allowed)
    return work.require(permission, resource=LOG, team=next(allowed, PLATFORM_TEAM))


def within(work: Work, permission: Permission) -> ColumnElement[bool]:
    """The events of teams for which the actor holds the permission."""
    return work.scope(permission).clause(AUDIT_EVENTS.c.team)


async def record(work: Work, tag: Tag, decision: Decision, detail: JSON) -> None:
    """Record that the log was read."""
    await work.record(tag, resource=LOG, team=PLATFORM_TEAM, decision=decision, detail=detail)


async def events_by_id(context: Context, ids: list[UUID]) -> list[AuditEventRecord | None]:
    """Events that the caller may read; that they were read is recorded."""
    async with context.work() as work:
        decision = reading(work, Permission.AUDIT_READ)
        shown = within(work, Permission.AUDIT_READ)
        rows = [await queries.event_by_id(work.session, key, shown) for key in ids]
        await record(work, Tag.AUDIT_LOG_READ, decision, {"events": [str(key) for key in ids]})
    return rows


async def _proofs(context: Context, positions: list[int]) -> list[Inclusion | None]:
    async with context.read() as read:
        found = await queries.proofs(read.session, positions)
    return [found.get(position) for position in positions]


async def _details(context: Context, rows: list[AuditEventRecord]) -> list[JSON]:
    """What was before and after, where the caller may read it; that it did is recorded."""
    async with context.work() as work:
        shown = await _disclosed(work, [row for row in rows if row.detail_sealed is not None])
        return [
            await queries.open_detail(work.keyring, row) if row in shown else None for row in rows
        ]


async def _reasons(context: Context, rows: list[AuditEventRecord]) -> list[str | None]:
    """Why it was refused; what actors wrote, only where the caller may read it, and recorded."""
    async with context.work() as work:
        refused = {row for row in rows if row.outcome == AuditOutcome.DENIED}
        written = [row for row in rows if row not in refused and row.reason_sealed is not None]
        shown = refused | await _disclosed(work, written)
        return [
            await queries.open_reason(work.keyring, row) if row in shown else None for row in rows
        ]


async def _disclosed(work: Work, rows: list[AuditEventRecord]) -> set[AuditEventRecord]:
    """Those of the events whose sealed parts the caller may read; the reading is recorded."""
    decisions = {row: work.decide(Permission.AUDIT_READ_DETAIL, team=row.team) for row in rows}
    opened = [row for row in rows if decisions[row].allowed]
    if opened:
        about: list[JSON] = [str(row.id) for row in opened]
        decision = decisions[opened[0]]
        await record(work, Tag.AUDIT_LOG_READ_DETAIL, decision, {"events": about})
    return set(opened)


@strawberry.type(description="RFC 6962 inclusion proof of an event in a checkpoint; hashes in hex")
class InclusionProof:
    """Inclusion proof of an event."""

    tree_size: int
    root_hash: str
    leaf_index: int
    path: list[str]
    checkpoint: str = strawberry.field(description="C2SP signed note of the tree")

    @classmethod
    def of(cls, row: Inclusion) -> InclusionProof:
        """The view of a proof."""
        return cls(
            tree_size=row.checkpoint.tree_size,
            root_hash=row.checkpoint.root_hash.hex(),
            leaf_index=row.leaf_index,
            path=[node.hex() for node in row.path],
            checkpoint=row.checkpoint.note,
        )


@strawberry.type(description="Who did what to what, when, and by which rule")
class AuditEvent(Node):
    """Who did what to what, when, and by which rule."""

    row: strawberry.Private[AuditEventRecord]
    index: int = strawberry.field(description="Position in the log, from 0, without gaps")
    at: Moment
    actor: str
    actor_kind: ActorKind
    action: str = strawberry.field(description="source:subject:verb, such as catalog:flow:publish")
    resource: str
    team: str = strawberry.field(description="The team in whose namespace the resource is")
    outcome: AuditOutcome
    rule: str | None = strawberry.field(description="The policy line that decided")
    correlation_id: str | None
    request_id: str | None
    address: str | None
    leaf_hash: str = strawberry.field(description="RFC 6962 leaf hash, hex")

    @classmethod
    def of(cls, row: AuditEventRecord) -> AuditEvent:
        """The view of an event."""
        return cls(
            row=row,
            id=strawberry.ID(to_global("AuditEvent", row.id)),
            index=_position(row),
            at=Moment(row.at),
            actor=row.actor,
            actor_kind=ActorKind(row.actor_kind),
            action=row.action,
            resource=row.resource,
            team=row.team,
            outcome=AuditOutcome(row.outcome),
            rule=row.rule,
            correlation_id=row.correlation_id,
            request_id=row.request_id,
            address=row.address,
            leaf_hash=(row.leaf_hash or b"").hex(),
        )

    @field
    async def reason(self, info: Info) -> str | None:
        """Why it was refused; or, for a caller who holds audit:read_detail, what the actor said."""
        return await info.context.load(_reasons, self.row)

    @field
    async def detail(self, info: Info) -> Json | None:
        """Before and after, decrypted for a caller who holds audit:read_detail, else null."""
        value = await info.context.load(_details, self.row)
        return None if value is None else Json(value)

    @field
    async def proof(self, info: Info) -> InclusionProof | None:
        """RFC 6962 inclusion proof in the newest checkpoint; null while not yet sealed."""
        found = await info.context.load(_proofs, _position(self.row))
        return InclusionProof.of(found) if found else None


def _position(row: AuditEventRecord) -> int:
    return -1 if row.position is None else row.position


@strawberry.type(description="An event and its place in a list")
class AuditEdge:
    """An event and its cursor."""

    cursor: str
    node: AuditEvent


@strawberry.type(description="A page of events, the newest first")
class AuditConnection:
    """A page of events."""

    edges: list[AuditEdge]
    nodes: list[AuditEvent]
    page_info: PageInfo
    total_count: int

    @classmethod
    def of(cls, page: queries.AuditPage, *, total: int, after: str | None) -> AuditConnection:
        """The view of a page."""
        nodes = [AuditEvent.of(row) for row in page.rows]
        edges = [AuditEdge(cursor=_cursor(node.row), node=node) for node in nodes]
        place = PageInfo(
            has_next_page=page.has_next,
            has_previous_page=after is not None,
            start_cursor=edges[0].cursor if edges else None,
            end_cursor=edges[-1].cursor if edges else None,
        )
        return cls(edges=edges, nodes=nodes, page_info=place, total_count=total)


@strawberry.type(description="A signed state of the log")
class AuditCheckpoint:
    """A signed state of the log."""

    tree_size: int
    root_hash: str
    at: Moment
    note: str = strawberry.field(
        description="C2SP signed note: origin, size, root, signature lines"
    )

    @classmethod
    def of(cls, row: Checkpoint) -> AuditCheckpoint:
        """The view of a checkpoint."""
        return cls(
            tree_size=row.tree_size,
            root_hash=row.root_hash.hex(),
            at=Moment(row.at),
            note=row.note,
        )


@strawberry.type(description="Whether the whole log holds, and which rows do not")
class AuditVerification:
    """Whether the whole log holds."""

    ok: bool
    checked_events: int
    tree_size: int
    root_hash: str
    problems: list[Problem]

    @classmethod
    def of(cls, row: Verification) -> AuditVerification:
        """The view of a verification."""
        return cls(
            ok=row.ok,
            checked_events=row.checked_events,
            tree_size=row.tree_size,
            root_hash=row.root_hash.hex(),
            problems=[Problem.of(problem) for problem in row.problems],
        )


def _cursor(row: AuditEventRecord) -> str:
    return encode("audit", [str(row.position)])


def _after(cursor: str | None) -> int | None:
    if cursor is None:
        return None
    position: int = decode("audit", cursor, [int])[0]
    return position


@strawberry.type
class AuditQuery:
    """The part of Query that is about the audit log."""

    @field
    async def audit_log(
        self,
        info: Info,
        filter: AuditFilter | None = None,  # noqa: A002  # the contract's name
        first: int | None = PAGE,
        after: str | None = None,
    ) -> AuditConnection:
        """Events that the caller may read, the newest first; reading them is recorded."""
        size, position = checked(first, default=PAGE), _after(after)
        counted = "totalCount" in chosen(info)
        async with info.context.work() as work:
            decision = reading(work, Permission.AUDIT_READ)
            matching = filter.wanted() if filter else AuditEventFilter()
            window = Window(matching, within(work, Permission.AUDIT_READ))
            page = await queries.events_page(work.session, window, first=size, after=position)
            total = await queries.count_events(work.session, window) if counted else 0
            asked: JSON = {"filter": plain(filter), "events": len(page.rows)}
            await record(work, Tag.AUDIT_LOG_READ, decision, asked)
        return AuditConnection.of(page, total=total, after=after)

    @field
    async def audit_checkpoint(self, info: Info) -> AuditCheckpoint | None:
        """The newest signed state of the log; null while nothing was ever sealed."""
        async with info.context.work() as work:
            reading(work, Permission.AUDIT_VERIFY)
            found = await queries.newest_checkpoint(work.session)
        return AuditCheckpoint.of(found) if found else None

    @field
    async def audit_consistency(
        self,
        info: Info,
        from_: Annotated[int, strawberry.argument(name="from")],
        to: int,
    ) -> list[str]:
        """RFC 6962 consistency proof between two tree sizes, hex hashes."""
        async with info.context.work() as work:
            reading(work, Permission.AUDIT_VERIFY)
            path: Sequence[bytes] = await queries.consistency(work.session, from_, to)
        return [node.hex() for node in path]

    @field
    async def verify_audit(self, info: Info) -> AuditVerification:
        """Every row of the log against its tree, checkpoints and the file of them; recorded."""
        platform = info.context.platform
        async with info.context.work() as work:
            decision = reading(work, Permission.AUDIT_VERIFY)
            await record(work, Tag.AUDIT_LOG_VERIFY, decision, None)
        async with platform.database.session() as session:
            path = platform.settings.checkpoint_path
            found = await verify(session, platform.signer.public, path)
        return AuditVerification.of(found)
