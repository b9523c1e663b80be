"""Lifecycle transitions: find the version, check the permission, change its state."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import select
from sqlmodel import col

from coe.access.permissions import Permission
from coe.access.policy import Decision
from coe.catalog.models import Entry, EntryKind, EntryVersion, FlowKind, Lifecycle
from coe.catalog.records import ENTRY_COLUMNS, VERSION_COLUMNS, ChangedVersion
from coe.catalog.refs import Ref, require_ref
from coe.catalog.scope import relations_to
from coe.catalog.versions.current import refresh_entry
from coe.catalog.versions.lifecycle import LifecycleAction, next_state, permission_for
from coe.catalog.versions.saving import lock_catalog
from coe.errors import NotFound, Problem
from coe.work import Work

_KINDS_WITH_LIFECYCLE = frozenset({EntryKind.DECISION, EntryKind.FLOW, EntryKind.TEMPLATE})


@dataclass(slots=True)
class Transition:
    """A version that a verb may change, its entry, and the policy's decision."""

    entry: Entry
    version: EntryVersion
    decision: Decision

    @property
    def resource(self) -> str:
        """The version's name in the audit log."""
        return resource_name(self.entry, self.version)

    @property
    def flow_kind(self) -> FlowKind | None:
        """CENTRAL or LOCAL; None for an entry that is no flow."""
        return self.entry.flow_kind

    def result(self, problems: tuple[Problem, ...] = ()) -> ChangedVersion:
        """What the verb returns; the problems are warnings."""
        entry, version = ENTRY_COLUMNS.of(self.entry), VERSION_COLUMNS.of(self.version)
        return ChangedVersion(entry, version, problems)


def resource_name(entry: Entry, version: EntryVersion) -> str:
    """The name of a version in the audit log."""
    return f"{entry.kind.lower()}:{entry.namespace}/{entry.name}@{version.version}"


async def begin(work: Work, ref: str, action: LifecycleAction) -> Transition:
    """Find the version of an exact ref, and require the permission of the action.

    Raises:
        Invalid: The ref has no exact version.
        NotFound: There is no such version, or the actor may neither change nor read it.
        Forbidden: The policy refuses the action.
        Conflict: The version's state does not allow the action.
    """
    parsed = require_ref(ref, exact=True)
    entry, version = await find_for_update(work, parsed)
    transition = require_permission(work, entry, version, permission_for(entry.kind, action))
    next_state(action, version.lifecycle, entry.flow_kind, entry.kind.lower())
    return transition


async def find_for_update(
    work: Work, ref: Ref, *, kinds: Collection[EntryKind] = _KINDS_WITH_LIFECYCLE
) -> tuple[Entry, EntryVersion]:
    """The entry and the exact version of a ref, with the catalog locked until the commit.

    Raises:
        NotFound: There is no such version.
        Forbidden: The token has no scope for `entry:read`.
    """
    work.require_scope(Permission.ENTRY_READ)
    await lock_catalog(work.session)
    entry = await work.session.scalar(
        select(Entry).where(
            col(Entry.namespace) == ref.namespace,
            col(Entry.name) == ref.name,
            col(Entry.kind).in_(list(kinds)),
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


def require_permission(
    work: Work,
    entry: Entry,
    version: EntryVersion,
    permission: Permission,
) -> Transition:
    """Require a permission on a version; an actor who may not read it gets NotFound.

    Raises:
        NotFound: The policy refuses, and the actor may not read the version either.
        Forbidden: The policy refuses.
    """
    relations = relations_to(work, entry, version)
    readable = work.decide(
        Permission.ENTRY_READ,
        team=version.team,
        data_class=version.data_class,
        relations=relations,
    )
    decision = work.require(
        permission,
        resource=resource_name(entry, version),
        team=version.team,
        data_class=version.data_class,
        relations=relations,
        hide=not readable.allowed,
    )
    return Transition(entry, version, decision)


async def apply(work: Work, transition: Transition, action: LifecycleAction) -> Lifecycle:
    """Change the version's state, refresh the entry, and return the state before.

    Raises:
        Conflict: The version's state does not allow the action.
    """
    before = transition.version.lifecycle
    noun = transition.entry.kind.lower()
    transition.version.lifecycle = next_state(action, before, transition.flow_kind, noun)
    await refresh_entry(work, transition.entry)
    return before
