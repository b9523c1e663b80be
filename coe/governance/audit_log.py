"""Read, verify and export the audit log; that it was read is itself recorded in it.

The functions of `coe.audit.queries` check nothing. These verbs require a permission on the log,
narrow what is read to the teams for which the actor holds it, and record the reading.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import fields, replace
from uuid import UUID

from sqlalchemy import ColumnElement, True_

from coe.access.decision import Decision
from coe.access.permissions import Permission
from coe.audit import queries
from coe.audit.admission import Admission
from coe.audit.bundle import export
from coe.audit.checkpoint import Checkpoint
from coe.audit.events import AuditOutcome, Tag
from coe.audit.findings import Verification, file_elsewhere
from coe.audit.queries import AuditEventFilter, Inclusion, Window
from coe.audit.records import AUDIT_EVENTS, AuditEventRecord
from coe.audit.sealer import LogSealer
from coe.audit.sinks.configured import open_sinks
from coe.audit.sinks.keeper import SinkKeeper
from coe.audit.verification import verify
from coe.crypto.signing import SigningKey
from coe.db import Database
from coe.db.limits import allow_long_reading
from coe.db.standby import FAILURES
from coe.governance.audit_filters import as_meant
from coe.governance.resources import team_of_log
from coe.identifiers import PLATFORM_TEAM
from coe.json_types import JSON
from coe.paging import Page, check_first, decode, encode
from coe.work import Platform, Read, Work

LOG = "audit:log"
"""The log as a resource."""

_CURSOR = "audit"


async def read_log(
    work: Work,
    wanted: AuditEventFilter | None = None,
    *,
    first: int = 50,
    after: str | None = None,
    count: bool = True,
) -> Page[AuditEventRecord]:
    """A page of the events that the actor may read, the newest first; the reading is recorded.

    Args:
        work: The actor and its transaction.
        wanted: Which events; without it, all.
        first: The size of the page.
        after: The cursor of an event; the page begins after it.
        count: Whether to count the events of all pages; `total` is 0 otherwise.

    Raises:
        Forbidden: The actor holds `audit:read` nowhere.
        Invalid: The cursor is not one of this list, `first` is not from 0 to 100, or a part of the
            filter can match nothing because of its form.
    """
    check_first(first)
    wanted = as_meant(wanted or AuditEventFilter())
    position: int | None = None if after is None else decode(_CURSOR, after, [int])[0]
    decision = _require(work, Permission.AUDIT_READ)
    window = Window(wanted, _readable(work, Permission.AUDIT_READ))
    page = await queries.events_page(work.session, window, first=first, after=position)
    total = await queries.count_events(work.session, window) if count else 0
    asked: JSON = {"filter": _plain(wanted), "events": len(page.rows)}
    await _record(work, Tag.AUDIT_LOG_READ, decision, asked)
    return Page(
        items=tuple(page.rows),
        cursors=tuple(encode(_CURSOR, [str(row.position)]) for row in page.rows),
        has_next=page.has_next,
        has_previous=after is not None,
        total=total,
    )


async def events_by_id(work: Work, ids: Sequence[UUID]) -> dict[UUID, AuditEventRecord]:
    """Those of the events that the actor may read; the reading is recorded.

    Raises:
        Forbidden: The actor holds `audit:read` nowhere.
    """
    decision = _require(work, Permission.AUDIT_READ)
    readable = _readable(work, Permission.AUDIT_READ)
    found = await queries.events_by_id(work.session, ids, readable)
    asked: JSON = {"events": [str(event_id) for event_id in ids]}
    await _record(work, Tag.AUDIT_LOG_READ, decision, asked)
    return found


async def read_details(
    work: Work, events: Sequence[AuditEventRecord]
) -> dict[AuditEventRecord, JSON]:
    """What was before and after, of those events whose detail the actor may read; recorded."""
    sealed = [event for event in events if event.detail_sealed is not None]
    readable = await _disclose(work, sealed)
    return {event: await queries.open_detail(work.keyring, event) for event in readable}


async def read_reasons(
    work: Work, events: Sequence[AuditEventRecord]
) -> dict[AuditEventRecord, str | None]:
    """The reasons of those events whose reason the actor may read.

    The reason of a refusal is the policy's own text, which every reader of the event may see. A
    reason that an actor wrote needs `audit:read_detail`, and reading it is recorded.
    """
    refused = {event for event in events if event.outcome == AuditOutcome.DENIED}
    written = [
        event for event in events if event not in refused and event.reason_sealed is not None
    ]
    readable = refused | await _disclose(work, written)
    return {
        event: await queries.open_reason(work.keyring, event)
        for event in events
        if event in readable
    }


async def proofs_by_position(read: Read, positions: Sequence[int]) -> dict[int, Inclusion]:
    """Inclusion proofs of events in the newest checkpoint; none for what is not yet sealed."""
    return await queries.proofs(read.session, positions)


async def newest_checkpoint(work: Work) -> Checkpoint | None:
    """The newest signed state of the log, None while nothing was ever sealed.

    Raises:
        Forbidden: The actor holds `audit:verify` nowhere.
    """
    _require(work, Permission.AUDIT_VERIFY)
    return await queries.newest_checkpoint(work.session)


async def consistency_proof(work: Work, old: int, new: int) -> tuple[bytes, ...]:
    """The RFC 6962 proof that the log of size `new` begins with the log of size `old`.

    Raises:
        Forbidden: The actor holds `audit:verify` nowhere.
        NotFound: The log never had such a size.
    """
    _require(work, Permission.AUDIT_VERIFY)
    return await queries.consistency(work.session, old, new)


async def request_verification(work: Work) -> None:
    """Require the permission to verify the log, and record that it is verified.

    Raises:
        Forbidden: The actor holds `audit:verify` nowhere.
    """
    decision = _require(work, Permission.AUDIT_VERIFY)
    await _record(work, Tag.AUDIT_LOG_VERIFY, decision, None)


async def verify_log(platform: Platform) -> Verification:
    """Verify the whole log against its tree, its checkpoints and the file of checkpoints.

    It takes long, so it runs after the transaction of `request_verification`, in a session that
    only reads. A process that does not seal may be on a machine without the file: then it says so.
    """
    settings = platform.settings
    path = settings.checkpoint_path
    is_elsewhere = not settings.loops and not await asyncio.to_thread(path.exists)
    async with platform.database.session() as session:
        await allow_long_reading(session)
        found = await verify(
            session,
            platform.signer.public,
            None if is_elsewhere else path,
            admission=admission_of(platform),
            late_seconds=settings.seal_alarm_seconds,
        )
    if is_elsewhere:
        found = replace(found, problems=(*found.problems, file_elsewhere()))
    return found


def open_sealer(platform: Platform, database: Database) -> LogSealer:
    """The sealer of the log, over the database as the role that seals."""
    settings = platform.settings
    sinks = open_sinks(settings.checkpoint_sinks_file, settings.ca_file)
    return LogSealer(
        database,
        platform.signer,
        settings.checkpoint_path,
        admission_of(platform),
        sinks=SinkKeeper(database, platform.macs, platform.signer.public, sinks),
    )


def admission_of(platform: Platform) -> Admission:
    """What tells events of the log from other rows."""
    return Admission(platform.macs, platform.settings.audit_unsigned_until)


async def request_export(work: Work, wanted: AuditEventFilter | None = None) -> Window:
    """Require the permission to read the log, and record the export with its filter.

    Returns:
        The events to export: those that are wanted and that the actor may read.

    Raises:
        Forbidden: The actor holds `audit:read` nowhere.
        Invalid: A part of the filter can match nothing because of its form.
    """
    wanted = as_meant(wanted or AuditEventFilter())
    decision = _require(work, Permission.AUDIT_READ)
    readable = _readable(work, Permission.AUDIT_READ)
    await _record(work, Tag.AUDIT_LOG_EXPORT, decision, {"filter": _plain(wanted)})
    return Window(wanted) if isinstance(readable, True_) else Window(wanted, readable)


async def export_log(platform: Platform, window: Window) -> AsyncIterator[bytes]:
    """The lines of a bundle of these events, in a session that only reads: of a standby if it can.

    Raises:
        NotFound: Nothing has been sealed yet.
    """
    standby = platform.standby
    elsewhere = standby is not None and await standby.has_all()
    if standby is not None and elsewhere:
        begun = False
        try:
            async for line in _lines(standby.database, platform.signer, window):
                begun = True
                yield line
        except FAILURES as error:
            standby.leave(error)
            if begun:  # what was sent is not sent again
                raise
        else:
            return
    async for line in _lines(platform.database, platform.signer, window):
        yield line


async def _lines(database: Database, signer: SigningKey, window: Window) -> AsyncIterator[bytes]:
    async with database.session() as session:
        await allow_long_reading(session)
        async for line in export(session, signer, window):
            yield line


def _require(work: Work, permission: Permission) -> Decision:
    """Require a permission on the log: in the platform's team, else in a team of the actor."""
    return work.require(permission, resource=LOG, team=team_of_log(work, permission))


def _readable(read: Read, permission: Permission) -> ColumnElement[bool]:
    """The events of teams for which the actor holds the permission."""
    return read.scope(permission).clause(AUDIT_EVENTS.c.team)


async def _record(work: Work, tag: Tag, decision: Decision, detail: JSON) -> None:
    await work.record(tag, resource=LOG, team=PLATFORM_TEAM, decision=decision, detail=detail)


async def _disclose(work: Work, events: Sequence[AuditEventRecord]) -> set[AuditEventRecord]:
    """Those of the events whose sealed parts the actor may read; the reading is recorded."""
    decisions = {
        event: work.decide(Permission.AUDIT_READ_DETAIL, team=event.team) for event in events
    }
    readable = [event for event in events if decisions[event].allowed]
    if readable:
        asked: list[JSON] = [str(event.id) for event in readable]
        decision = decisions[readable[0]]
        await _record(work, Tag.AUDIT_LOG_READ_DETAIL, decision, {"events": asked})
    return set(readable)


def _plain(wanted: AuditEventFilter) -> JSON:
    """The filter as JSON, for the log; null without one."""
    if wanted == AuditEventFilter():
        return None
    return {each.name: _plain_value(getattr(wanted, each.name)) for each in fields(wanted)}


def _plain_value(value: object) -> JSON:
    if not value:
        return None
    if isinstance(value, list | tuple):
        return [str(item) for item in value]
    return str(value)
