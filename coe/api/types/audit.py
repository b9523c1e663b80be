"""Views of the audit log: events with their proofs, checkpoints, and the log's verification."""

from __future__ import annotations

import strawberry

from coe.access.actor import ActorKind
from coe.api.graphql.context import Info
from coe.api.graphql.ids import to_global
from coe.api.graphql.loaders import event_detail, event_proof, event_reason
from coe.api.graphql.nodes import Node, Problem, field, input_type, object_type
from coe.api.graphql.scalars import DateTime, Json
from coe.audit.checkpoint import Checkpoint
from coe.audit.events import AuditOutcome
from coe.audit.findings import Verification
from coe.audit.queries import AuditEventFilter, Inclusion
from coe.audit.records import AuditEventRecord


@input_type
class AuditFilter:
    """Which events; every part given must hold.

    A resource takes in its versions; a flow or a run also what belongs to it.
    """

    actors: list[str] | None = None
    actions: list[str] | None = None
    resources: list[str] | None = None
    outcomes: list[AuditOutcome] | None = None
    after: DateTime | None = None
    before: DateTime | None = None
    teams: list[str] | None = None
    correlation_id: str | None = None

    def wanted(self) -> AuditEventFilter:
        """The input of the query."""
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


@object_type
class InclusionProof:
    """RFC 6962 proof that an event is in a checkpoint; hashes in hex."""

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


@object_type
class AuditEvent(Node):
    """Who did what to what, when, and by which policy line."""

    row: strawberry.Private[AuditEventRecord]
    index: int = strawberry.field(description="Position in the log, from 0, without gaps")
    at: DateTime
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
            at=DateTime(row.at),
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
        """Why the policy refused it, or why the actor did it.

        The reason of an actor is for a caller who holds audit:read_detail; reading it is recorded.
        """
        return await info.context.load(event_reason, self.row)

    @field
    async def detail(self, info: Info) -> Json | None:
        """Before and after, for a caller who holds audit:read_detail; reading it is recorded."""
        value = await info.context.load(event_detail, self.row)
        return None if value is None else Json(value)

    @field
    async def proof(self, info: Info) -> InclusionProof | None:
        """RFC 6962 inclusion proof in the newest checkpoint; null while not yet sealed."""
        found = await info.context.load(event_proof, _position(self.row))
        return InclusionProof.of(found) if found else None


def _position(row: AuditEventRecord) -> int:
    return -1 if row.position is None else row.position


@object_type
class AuditCheckpoint:
    """A signed state of the log."""

    tree_size: int
    root_hash: str
    at: DateTime
    note: str = strawberry.field(
        description="C2SP signed note: origin, size, root, signature lines"
    )

    @classmethod
    def of(cls, row: Checkpoint) -> AuditCheckpoint:
        """The view of a checkpoint."""
        return cls(
            tree_size=row.tree_size,
            root_hash=row.root_hash.hex(),
            at=DateTime(row.at),
            note=row.note,
        )


@object_type
class AuditVerification:
    """Whether the whole log is intact, and which of its rows are not."""

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
            problems=Problem.all_of(row.problems),
        )
