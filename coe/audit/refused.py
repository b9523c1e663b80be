"""Rows that the sealer refused: what they say, and whether somebody has settled them.

A settlement is an event of the log itself (`audit:log:settle`), so whoever can only write the
database cannot make one. It counts once it is sealed. The row stays in the table, for evidence.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Text, cast, exists, func, literal, not_, select
from sqlalchemy.ext.asyncio import AsyncSession

from coe.audit.admission import Admission, Refusal
from coe.audit.events import AuditOutcome, Tag
from coe.audit.records import AUDIT_EVENTS, EVENT_COLUMNS, UNTRUSTED_COLUMNS

ROW: Final = "audit:row:"
"""Before the id of a row, in the resource of its settlement."""
_SETTLEMENTS: Final = AUDIT_EVENTS.alias("settlement")
_SET_ASIDE: Final = "its code fits: somebody set an event aside"


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """A row that is no event, why not, and what it says; nobody has checked that.

    `is_event` is whether its code fits all the same: then somebody set an event aside.
    """

    id: UUID
    stored_at: datetime | None
    why: str
    actor: str
    action: str
    resource: str
    team: str
    is_event: bool
    settled: bool


def is_refused() -> ColumnElement[bool]:
    """The rows that the sealer refused."""
    return (AUDIT_EVENTS.c.refused.is_not(None)) & (AUDIT_EVENTS.c.position.is_(None))


def is_settled() -> ColumnElement[bool]:
    """Those of the rows that somebody has settled, with an event that is sealed."""
    by = _SETTLEMENTS.c
    return exists().where(
        by.resource == literal(ROW).concat(cast(AUDIT_EVENTS.c.id, Text)),
        by.action == Tag.AUDIT_LOG_SETTLE.value,
        by.outcome == AuditOutcome.ALLOWED.value,
        by.position.is_not(None),
    )


async def refused_rows(
    session: AsyncSession,
    admission: Admission | None,
    *which: ColumnElement[bool],
    first: int,
) -> list[RefusedRow]:
    """The rows that the sealer refused and that fit, by id; at most so many."""
    columns = *UNTRUSTED_COLUMNS, AUDIT_EVENTS.c.refused, is_settled().label("settled")
    statement = select(*columns).where(is_refused(), *which).order_by(AUDIT_EVENTS.c.id)
    return [_row(each, admission) for each in await session.execute(statement.limit(first))]


async def count_refused(session: AsyncSession, *, settled: bool) -> int:
    """How many rows are refused, and settled or not."""
    wanted = is_settled() if settled else not_(is_settled())
    statement = select(func.count()).select_from(AUDIT_EVENTS).where(is_refused(), wanted)
    return await session.scalar(statement) or 0


def _row(row: Any, admission: Admission | None) -> RefusedRow:
    event = EVENT_COLUMNS.record(row)
    is_event = bool(admission and row.digests_match and admission.fits(event))
    known = {each.value: each.text for each in Refusal}
    return RefusedRow(
        id=event.id,
        stored_at=event.stored_at,
        why=_SET_ASIDE if is_event else known.get(row.refused, "it was set aside"),
        actor=event.actor,
        action=event.action,
        resource=event.resource,
        team=event.team,
        is_event=is_event,
        settled=row.settled and not is_event,
    )
