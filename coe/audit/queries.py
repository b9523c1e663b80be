"""Queries of the log: pages of events, their proofs, checkpoints and sealed values.

The caller checks that the actor may read, and records that it did.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import orjson
from sqlalchemy import ColumnElement, Select, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from coe.audit.checkpoint import Checkpoint
from coe.audit.events import AuditOutcome
from coe.audit.log import AUDIT_PURPOSE, cell_of
from coe.audit.records import AUDIT_CHECKPOINTS, AUDIT_EVENTS, EVENT_COLUMNS, AuditEventRecord
from coe.audit.tree import consistency_path, inclusion_paths
from coe.crypto.keys import Keyring
from coe.errors import NotFound
from coe.json_types import JSON

_WITH_PARTS: Final = frozenset({"flow", "run"})
"""Kinds of resources that include all resources with the same correlation id."""


@dataclass(frozen=True, slots=True)
class AuditEventFilter:
    """A filter of events: each field that is not empty narrows.

    A resource matches itself and all its versions (`flow:sales/order-to-cash` matches
    `flow:sales/order-to-cash@1.0.0`); with `*` at its end, all that start so. A flow or a run also
    matches every event that has the correlation id of one of its events, such as those of its runs
    and their human tasks. `after` is inclusive, `before` is exclusive.
    """

    actors: Collection[str] = ()
    actions: Collection[str] = ()
    resources: Collection[str] = ()
    outcomes: Collection[AuditOutcome] = ()
    teams: Collection[str] = ()
    after: datetime | None = None
    before: datetime | None = None
    correlation_id: str | None = None

    def clauses(self) -> list[ColumnElement[bool]]:
        """The filter as predicates over `audit_events`, all of which must hold."""
        columns = {
            AUDIT_EVENTS.c.actor: self.actors,
            AUDIT_EVENTS.c.action: self.actions,
            AUDIT_EVENTS.c.outcome: [outcome.value for outcome in self.outcomes],
            AUDIT_EVENTS.c.team: self.teams,
        }
        clauses: list[ColumnElement[bool]] = [
            column.in_(list(values)) for column, values in columns.items() if values
        ]
        if self.resources:
            clauses.append(_about(self.resources))
        if self.after is not None:
            clauses.append(AUDIT_EVENTS.c.at >= self.after)
        if self.before is not None:
            clauses.append(AUDIT_EVENTS.c.at < self.before)
        if self.correlation_id is not None:
            clauses.append(AUDIT_EVENTS.c.correlation_id == self.correlation_id)
        return clauses


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Events in order, and whether more follow; `next` is the cursor after the last."""

    rows: Sequence[AuditEventRecord]
    has_next: bool
    next: int | None


@dataclass(frozen=True, slots=True)
class Inclusion:
    """The proof that a leaf is in the tree of a checkpoint (RFC 6962, section 2.1.1)."""

    leaf_index: int
    path: tuple[bytes, ...]
    checkpoint: Checkpoint


@dataclass(frozen=True, slots=True)
class Window:
    """A part of the log: the filter, and a further predicate such as a scope's."""

    matching: AuditEventFilter = field(default_factory=AuditEventFilter)
    within: ColumnElement[bool] | None = None

    def clauses(self) -> list[ColumnElement[bool]]:
        """All predicates; an event counts as part of the log when it is sealed."""
        within = [] if self.within is None else [self.within]
        return [AUDIT_EVENTS.c.position.is_not(None), *self.matching.clauses(), *within]


async def events_page(
    session: AsyncSession,
    window: Window,
    *,
    first: int,
    after: int | None = None,
) -> AuditPage:
    """The next `first` events after the one at position `after`, the newest first."""
    position = AUDIT_EVENTS.c.position
    statement = select(*EVENT_COLUMNS).where(*window.clauses())
    if after is not None:
        statement = statement.where(position < after)
    statement = statement.order_by(position.desc())
    rows = [EVENT_COLUMNS.record(row) for row in await session.execute(statement.limit(first + 1))]
    page = rows[:first]
    return AuditPage(page, len(rows) > first, page[-1].position if page else after)


async def count_events(session: AsyncSession, window: Window) -> int:
    """How many events there are in the window."""
    statement = select(func.count()).select_from(AUDIT_EVENTS).where(*window.clauses())
    return (await session.scalar(statement)) or 0


async def events_by_id(
    session: AsyncSession, ids: Collection[UUID], within: ColumnElement[bool] | None = None
) -> dict[UUID, AuditEventRecord]:
    """Events of the log by their ids, without what is unknown, not sealed yet, or not within."""
    clauses = Window(within=within).clauses()
    statement = select(*EVENT_COLUMNS).where(AUDIT_EVENTS.c.id.in_(ids), *clauses)
    return {row.id: EVENT_COLUMNS.record(row) for row in await session.execute(statement)}


async def newest_checkpoint(session: AsyncSession) -> Checkpoint | None:
    """The newest checkpoint; None before the first event is sealed."""
    statement = _select_checkpoints().order_by(AUDIT_CHECKPOINTS.c.tree_size.desc()).limit(1)
    row = (await session.execute(statement)).one_or_none()
    return Checkpoint.stored(*row) if row else None


async def proofs(session: AsyncSession, positions: Collection[int]) -> dict[int, Inclusion]:
    """Inclusion proofs of the events at these positions in the newest checkpoint.

    A position that is not sealed yet is left out. Three reads, whatever the number.
    """
    checkpoint = await newest_checkpoint(session)
    if checkpoint is None:
        return {}
    sealed = [position for position in positions if 0 <= position < checkpoint.tree_size]
    paths = await inclusion_paths(session, sealed, checkpoint.tree_size)
    return {position: Inclusion(position, path, checkpoint) for position, path in paths.items()}


async def consistency(session: AsyncSession, old: int, new: int) -> tuple[bytes, ...]:
    """The consistency proof: the log at size `new` starts with the log at size `old`.

    It is empty for the old size 0.

    Raises:
        NotFound: The log never had such a size.
    """
    newest = await newest_checkpoint(session)
    size = newest.tree_size if newest else 0
    if not 0 <= old <= new <= size:
        raise NotFound(f"the log has {size} events: no proof from {old} to {new}")
    return await consistency_path(session, old, new) if old else ()


async def open_reason(keyring: Keyring, row: AuditEventRecord) -> str | None:
    """The reason that the actor gave; None without one.

    Raises:
        DoesNotOpen: It was changed, or its key was destroyed.
    """
    reason = await _open(keyring, row, "reason", row.reason_sealed)
    return None if reason is None else str(reason)


async def open_detail(keyring: Keyring, row: AuditEventRecord) -> JSON:
    """The recorded state before and after; None without one.

    Raises:
        DoesNotOpen: It was changed, or its key was destroyed.
    """
    return await _open(keyring, row, "detail", row.detail_sealed)


async def _open(keyring: Keyring, row: AuditEventRecord, column: str, sealed: bytes | None) -> JSON:
    if sealed is None:
        return None
    opened = await keyring.open(cell_of(row.id, column, row.team), AUDIT_PURPOSE, sealed)
    value: JSON = orjson.loads(opened)
    return value


def _select_checkpoints() -> Select[Any]:
    columns = AUDIT_CHECKPOINTS.c
    return select(columns.tree_size, columns.root_hash, columns.at, columns.note)


def _about(resources: Collection[str]) -> ColumnElement[bool]:
    """Events of the resources, of their versions and of what belongs to them."""
    whole = [name for name in resources if name.partition(":")[0] in _WITH_PARTS]
    clauses = [_named(name) for name in resources]
    if whole:
        of_them = select(AUDIT_EVENTS.c.correlation_id).where(
            or_(*(_named(name) for name in whole)), AUDIT_EVENTS.c.correlation_id.is_not(None)
        )
        clauses.append(AUDIT_EVENTS.c.correlation_id.in_(of_them))
    return or_(*clauses)


def _named(name: str) -> ColumnElement[bool]:
    if name.endswith("*"):
        return AUDIT_EVENTS.c.resource.startswith(name[:-1], autoescape=True)
    if "@" in name:
        return AUDIT_EVENTS.c.resource == name
    return or_(
        AUDIT_EVENTS.c.resource == name,
        AUDIT_EVENTS.c.resource.startswith(f"{name}@", autoescape=True),
    )
