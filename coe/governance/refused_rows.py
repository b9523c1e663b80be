"""Settle rows of the audit log that the sealer refused: somebody has looked at them, and says so.

The alarm of a refused row lasts until it is settled. The settlement is an event of the log, with
its reason; the row stays where it is. Nobody settles a row that names themselves as its actor.
"""

from __future__ import annotations

from typing import Final
from uuid import UUID

from sqlalchemy import not_

from coe.access.permissions import Permission
from coe.access.policy_lines import Relation
from coe.audit.events import Tag
from coe.audit.records import AUDIT_EVENTS
from coe.audit.refused import ROW, RefusedRow, count_refused, is_settled, refused_rows
from coe.errors import Conflict, NotFound
from coe.formats import uuids
from coe.governance.audit_log import LOG, admission_of
from coe.identifiers import PLATFORM_TEAM
from coe.paging import Page, check_first, decode, encode
from coe.work import Work, check_reason

_CURSOR: Final = "refused"


async def list_refused(
    work: Work, *, settled: bool = False, first: int = 50, after: str | None = None
) -> Page[RefusedRow]:
    """A page of the rows that the sealer refused, settled or not, by id; recorded.

    Raises:
        Forbidden: `audit:verify` in the platform's team is refused.
        Invalid: The cursor is not one of this list, or `first` is not from 0 to 100.
    """
    size = check_first(first)
    decision = work.require(Permission.AUDIT_VERIFY, resource=LOG, team=PLATFORM_TEAM)
    wanted = [is_settled() if settled else not_(is_settled())]
    if after is not None:
        wanted.append(AUDIT_EVENTS.c.id > decode(_CURSOR, after, [uuids.read])[0])
    admission = admission_of(work.platform)
    found = await refused_rows(work.session, admission, *wanted, first=size + 1)
    await work.record(
        Tag.AUDIT_LOG_READ,
        resource=LOG,
        team=PLATFORM_TEAM,
        decision=decision,
        detail={"refused": len(found[:size])},
    )
    return Page(
        items=tuple(found[:size]),
        cursors=tuple(encode(_CURSOR, [str(each.id)]) for each in found[:size]),
        has_next=len(found) > size,
        has_previous=after is not None,
        total=await count_refused(work.session, settled=settled),
    )


async def settle_refused(work: Work, row_id: UUID, *, reason: str) -> RefusedRow:
    """Settle a row that the sealer refused: its alarm ends when the settlement is sealed.

    Raises:
        NotFound: The sealer refused no such row.
        Forbidden: `audit:settle` is refused: also to whom the row names as its actor.
        Conflict: It is settled already, or it is an event that somebody set aside.
        Invalid: The reason is blank or too long.
    """
    this = AUDIT_EVENTS.c.id == row_id
    found = await refused_rows(work.session, admission_of(work.platform), this, first=1)
    row = found[0] if found else None
    named = row is not None and row.actor in work.actor.persons
    resource = f"{ROW}{row_id}"
    decision = work.require(
        Permission.AUDIT_SETTLE,
        resource=resource,
        team=PLATFORM_TEAM,
        relations={Relation.SELF.value} if named else set(),
    )
    check_reason(reason)
    if row is None:
        raise NotFound(f"no row {row_id} of the audit log is refused (coe audit refused)")
    if row.is_event:
        raise Conflict(
            f"{row_id} is an event of the platform that somebody set aside in the database: the "
            "operator takes the mark away (`refused` of `audit_events`), and it is sealed"
        )
    if row.settled:
        raise Conflict(f"{row_id} is settled already")
    await work.record(
        Tag.AUDIT_LOG_SETTLE,
        resource=resource,
        team=PLATFORM_TEAM,
        decision=decision,
        reason=reason,
        detail={"why": row.why, "actor": row.actor, "action": row.action},
    )
    return row
