"""Views of the audit log: events with their proofs, checkpoints, and the log's verification."""

from __future__ import annotations

import strawberry

from coe.access.actor import ActorKind
from coe.api.graphql.context import Info
from coe.api.graphql.ids import resource_name, to_global
from coe.api.graphql.loaders import event_detail, event_proof, event_reason
from coe.api.graphql.nodes import Node, Problem, field, input_type, object_type
from coe.api.graphql.scalars import DateTime, Json, Long
from coe.audit.checkpoint import Checkpoint
from coe.audit.events import AuditOutcome
from coe.audit.findings import Verification
from coe.audit.queries import AuditEventFilter, Inclusion
from coe.audit.records import AuditEventRecord
from coe.audit.sinks.state import SinkState


@input_type
class AuditFilter:
    """Which events; every part given must hold.

    A resource takes in its versions; a flow or a run also what belongs to it. A part that can match
    nothing because of its form is an error.
    """

    actors: list[str] | None = None
    actions: list[str] | None = strawberry.field(
        default=None,
        description="source:subject:verb, or subject:verb; * at the end is any",
    )
    resources: list[str] | None = strawberry.field(
        default=None,
        description="kind:name, such as flow:sales/order-to-cash or run:<uuid>; a ref, an id or a"
        " UUID without its kind; * at the end is any",
    )
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
            resources=[resource_name(each) for each in self.resources or ()],
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
    def of(cls, record: Inclusion) -> InclusionProof:
        """The view of a proof."""
        return cls(
            tree_size=record.checkpoint.tree_size,
            root_hash=record.checkpoint.root_hash.hex(),
            leaf_index=record.leaf_index,
            path=[node.hex() for node in record.path],
            checkpoint=record.checkpoint.note,
        )


@object_type
class AuditEvent(Node):
    """Who did what to what, when, and by which policy line."""

    record: strawberry.Private[AuditEventRecord]
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
    def of(cls, record: AuditEventRecord) -> AuditEvent:
        """The view of an event."""
        return cls(
            record=record,
            id=strawberry.ID(to_global("AuditEvent", record.id)),
            index=_position(record),
            at=DateTime(record.at),
            actor=record.actor,
            actor_kind=ActorKind(record.actor_kind),
            action=record.action,
            resource=record.resource,
            team=record.team,
            outcome=AuditOutcome(record.outcome),
            rule=record.rule,
            correlation_id=record.correlation_id,
            request_id=record.request_id,
            address=record.address,
            leaf_hash=(record.leaf_hash or b"").hex(),
        )

    @field
    async def reason(self, info: Info) -> str | None:
        """Why the policy refused it, or why the actor did it.

        The reason of an actor is for a caller who holds audit:read_detail; reading it is recorded.
        """
        return await info.context.load(event_reason, self.record)

    @field
    async def detail(self, info: Info) -> Json | None:
        """Before and after, for a caller who holds audit:read_detail; reading it is recorded."""
        value = await info.context.load(event_detail, self.record)
        return None if value is None else Json(value)

    @field
    async def proof(self, info: Info) -> InclusionProof | None:
        """RFC 6962 inclusion proof in the newest checkpoint; null while not yet sealed."""
        found = await info.context.load(event_proof, _position(self.record))
        return InclusionProof.of(found) if found else None


def _position(record: AuditEventRecord) -> int:
    return -1 if record.position is None else record.position


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
    def of(cls, record: Checkpoint) -> AuditCheckpoint:
        """The view of a checkpoint."""
        return cls(
            tree_size=record.tree_size,
            root_hash=record.root_hash.hex(),
            at=DateTime(record.at),
            note=record.note,
        )


@object_type
class AuditSink:
    """A place outside the database that keeps checkpoints of the log, as the database knows it."""

    name: str
    kind: str
    tree_size: Long = strawberry.field(description="Of the newest checkpoint that it keeps")
    kept_at: DateTime | None = strawberry.field(description="When it took that; null for never")
    behind_seconds: float = strawberry.field(
        description="For how long it has lacked a newer one; 0 if it has the newest"
    )
    failing: bool = strawberry.field(description="Whether the last attempt failed")

    @classmethod
    def of(cls, record: SinkState) -> AuditSink:
        """The view of a sink."""
        return cls(
            name=record.name,
            kind=record.kind,
            tree_size=Long(record.tree_size),
            kept_at=DateTime(record.kept_at) if record.kept_at else None,
            behind_seconds=record.behind_seconds,
            failing=record.error is not None,
        )


@object_type
class AuditVerification:
    """Whether the whole log is intact, and which of its rows are not."""

    ok: bool
    checked_events: int
    tree_size: int
    root_hash: str
    unsealed: int = strawberry.field(description="Events that wait for their seal, at most 10000")
    oldest_unsealed_seconds: float = strawberry.field(
        description="How long the oldest of them has waited; too long is a problem"
    )
    refused: int = strawberry.field(
        description="Rows that the platform did not write, at most 10000: they are no events"
    )
    sinks: list[AuditSink] = strawberry.field(
        description="Further places that keep checkpoints of the log"
    )
    problems: list[Problem]

    @classmethod
    def of(cls, record: Verification) -> AuditVerification:
        """The view of a verification."""
        return cls(
            ok=record.ok,
            checked_events=record.checked_events,
            tree_size=record.tree_size,
            root_hash=record.root_hash.hex(),
            unsealed=record.sealing.waiting if record.sealing else 0,
            oldest_unsealed_seconds=record.sealing.seconds if record.sealing else 0.0,
            refused=record.sealing.refused if record.sealing else 0,
            sinks=[AuditSink.of(each) for each in record.sinks],
            problems=Problem.all_of(record.problems),
        )
