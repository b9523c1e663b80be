"""What every move of a lifecycle begins with: find the version, hold it, ask the policy."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select
from sqlmodel import col

from coe.access.permissions import Permission
from coe.access.policy import Decision
from coe.catalog.columns import record_of_entry, record_of_version
from coe.catalog.models import Entry, EntryKind, EntryVersion, FlowKind, Lifecycle
from coe.catalog.records import MovedVersion
from coe.catalog.refs import Ref, require_ref
from coe.catalog.scope import relations_to
from coe.catalog.versions.lifecycle import Move, after, permission
from coe.catalog.versions.saving import lock_catalog, refresh_entry
from coe.errors import NotFound
from coe.work import Work

_MOVABLE = frozenset({EntryKind.DECISION, EntryKind.FLOW, EntryKind.TEMPLATE})


@dataclass(slots=True)
class Transition:
    """A version that a verb may change, its entry, and what the policy said."""

    entry: Entry
    version: EntryVersion
    decision: Decision

    @property
    def resource(self) -> str:
        """What the log calls it."""
        return resource(self.entry, self.version)

    @property
    def flow_kind(self) -> FlowKind | None:
        """CENTRAL or LOCAL; none for what is no flow."""
        return self.entry.flow_kind

    def moved(self) -> MovedVersion:
        """What the verb gives back."""
        return MovedVersion(record_of_entry(self.entry), record_of_version(self.version))


def resource(entry: Entry, version: EntryVersion) -> str:
    """What the log calls a version."""
    return f"{entry.kind.lower()}:{entry.namespace}/{entry.name}@{version.version}"


async def hold(work: Work, ref: str, move: Move) -> Transition:
    """Find the version that a ref with an exact version names, and require the move's permission.

    Raises:
        Invalid: The ref has no exact version.
        NotFound: There is no such version, or the actor may neither move nor read it.
        Forbidden: The policy refuses the move.
        Conflict: The move cannot be made from its state.
    """
    parsed = require_ref(ref, exact=True)
    entry, version = await find(work, parsed)
    held = require(work, entry, version, permission(entry.kind, move))
    after(move, version.lifecycle, entry.flow_kind)
    return held


async def find(work: Work, ref: Ref) -> tuple[Entry, EntryVersion]:
    """The entry and the exact version of a ref, for change; catalog writes take turns.

    Raises:
        NotFound: There is no such version.
    """
    await lock_catalog(work.session)
    entry = await work.session.scalar(
        select(Entry).where(
            col(Entry.namespace) == ref.namespace,
            col(Entry.name) == ref.name,
            col(Entry.kind).in_(_MOVABLE),
        ),
    )
    if entry is None:
        raise NotFound
    version = await work.session.scalar(
        select(EntryVersion).where(
            col(EntryVersion.entry_id) == entry.id,
            col(EntryVersion.version) == (ref.selector or ""),
        ),
    )
    if version is None:
        raise NotFound
    return entry, version


def require(
    work: Work,
    entry: Entry,
    version: EntryVersion,
    wanted: Permission,
) -> Transition:
    """Require a permission on a version; who may not read it is told that it is not there.

    Raises:
        NotFound: Refused, and the actor may not read it either.
        Forbidden: Refused.
    """
    relations = relations_to(work, entry, version)
    readable = work.decide(
        Permission.ENTRY_READ,
        team=version.team,
        data_class=version.data_class,
        relations=relations,
    )
    decision = work.require(
        wanted,
        resource=resource(entry, version),
        team=version.team,
        data_class=version.data_class,
        relations=relations,
        hide=not readable.allowed,
    )
    return Transition(entry, version, decision)


async def move(work: Work, held: Transition, made: Move) -> Lifecycle:
    """Make the move, let the entry show what is current now, and give the state before.

    Raises:
        Conflict: The move cannot be made from this state.
    """
    before = held.version.lifecycle
    held.version.lifecycle = after(made, before, held.flow_kind)
    await refresh_entry(work, held.entry)
    return before
