"""Dispatch: handle the messages of the outbox, outside every transaction.

A message is claimed by moving its `due_at` ahead (`SKIP LOCKED`, so several processes share the
work), then its handler is called, then its row is deleted. A process that dies in between leaves
the message to be claimed again: every handler may run twice. A handler that fails moves `due_at`
on, with growing pauses, for ever: while the engine is unavailable, runs wait in the queue.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, and_, delete, exists, func, or_, select, update
from sqlmodel import col

from coe.access.models import Team
from coe.catalog.flows.contents import runnable_version
from coe.catalog.records import RunnableFlow
from coe.errors import CoeError, NotFound
from coe.execution.engine import Engine, EngineHealth, EngineRun, LocalFlowRef, RunRef
from coe.machine.facts import Fact, FactKind
from coe.outbox import OUTBOX, OutboxKind
from coe.runs import completion, inbox
from coe.runs.interventions import keep_cancellation_by_caller
from coe.runs.leases import something_to_do
from coe.runs.models import ENDED, RunState
from coe.runs.records import IDENTITY_COLUMNS
from coe.runs.tables import NOW, RUNS
from coe.schedules import event_triggers, sync
from coe.telemetry import metrics
from coe.work import Platform

MAX_MESSAGES: Final = 50
MAX_AT_ONCE: Final = 10
CLAIMED_FOR: Final = timedelta(seconds=12)
"""How long a claimed message is left to its dispatcher; a call of an engine takes less."""
EXPECTED_WITHIN: Final = timedelta(seconds=8)
"""How long an engine may take to start a run that it accepted, before it is asked again."""
HELD_PAUSE: Final = timedelta(seconds=1)
MAX_PAUSE: Final = timedelta(seconds=10)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OutboxMessage:
    """A claimed message of the outbox."""

    id: UUID
    kind: str
    subject: UUID
    attempts: int
    until: datetime
    """When another process may claim it; no other claim of it has the same time."""


Handler = Callable[[Platform, Engine, OutboxMessage], Awaitable[bool]]
"""Carries out a message; false if the message stays, to be handled again soon."""


async def dispatch_once(platform: Platform, engine: Engine) -> int:
    """Handle the messages that are due; returns how many were claimed."""
    messages = await _claim(platform)
    gate = asyncio.Semaphore(MAX_AT_ONCE)

    async def handle(message: OutboxMessage) -> None:
        async with gate:
            await _handle(platform, engine, message)

    await asyncio.gather(*(handle(message) for message in messages))
    return len(messages)


async def next_message(platform: Platform) -> timedelta | None:
    """How long until the next message is due, by the database's clock."""
    async with platform.database.session() as session:
        soonest = select(func.min(OUTBOX.c.due_at) - NOW).where(_in_turn)
        due: timedelta | None = await session.scalar(soonest)
        return due


async def engine_health(platform: Platform, engine: Engine) -> EngineHealth:
    """The health that the engine reports, with the number of messages that wait for it."""
    return replace(await engine.health(), queued=await queued_messages(platform))


async def queued_messages(platform: Platform) -> int:
    """How many messages wait in the outbox."""
    async with platform.database.session() as session:
        return await session.scalar(select(func.count()).select_from(OUTBOX)) or 0


async def _claim(platform: Platform) -> list[OutboxMessage]:
    """Claim messages: those for one run one after the other, but a cancellation at once."""
    async with platform.database.session() as session:
        due = (await session.execute(_DUE)).all()
        if not due:
            return []
        claimed = await session.execute(
            update(OUTBOX)
            .where(OUTBOX.c.id.in_([row.id for row in due]))
            .values(due_at=NOW + CLAIMED_FOR)
            .returning(OUTBOX.c.id, OUTBOX.c.due_at),
        )
        until = {row.id: row.due_at for row in claimed}
        await session.commit()
    return [
        OutboxMessage(row.id, row.kind, row.subject, row.attempts, until[row.id]) for row in due
    ]


_earlier = OUTBOX.alias("earlier")
_in_turn: Final = or_(
    OUTBOX.c.kind == OutboxKind.CANCEL,
    ~exists().where(
        _earlier.c.subject == OUTBOX.c.subject,
        _earlier.c.id < OUTBOX.c.id,
        _earlier.c.kind != OutboxKind.CANCEL,
    ),
)
_DUE: Final = (
    select(OUTBOX.c.id, OUTBOX.c.kind, OUTBOX.c.subject, OUTBOX.c.attempts)
    .where(OUTBOX.c.due_at <= NOW, _in_turn)
    .order_by(OUTBOX.c.due_at)
    .limit(MAX_MESSAGES)
    .with_for_update(skip_locked=True, of=OUTBOX)
)


async def _handle(platform: Platform, engine: Engine, message: OutboxMessage) -> None:
    try:
        done = await _HANDLERS[OutboxKind(message.kind)](platform, engine, message)
    except Exception as error:  # noqa: BLE001  # whatever an engine raises: the message stays
        metrics.OUTBOX_HANDLED.labels(message.kind, "failed").inc()
        await _postpone(platform, message, error)
        return
    metrics.OUTBOX_HANDLED.labels(message.kind, "done" if done else "kept").inc()
    async with platform.database.session() as session:
        if done:
            await session.execute(delete(OUTBOX).where(_still_claimed(message)))
        else:
            later = update(OUTBOX).where(_still_claimed(message)).values(due_at=NOW + HELD_PAUSE)
            await session.execute(later)
        await session.commit()


async def _postpone(platform: Platform, message: OutboxMessage, error: Exception) -> None:
    code = error.code if isinstance(error, CoeError) else type(error).__name__
    pause = min(timedelta(seconds=0.25 * 2 ** min(message.attempts, 10)), MAX_PAUSE)
    _log.warning("%s of %s is postponed: %s", message.kind, message.subject, code)
    async with platform.database.session() as session:
        await session.execute(
            update(OUTBOX)
            .where(_still_claimed(message))
            .values(attempts=OUTBOX.c.attempts + 1, due_at=NOW + pause, last_error=code),
        )
        await session.commit()


def _still_claimed(message: OutboxMessage) -> ColumnElement[bool]:
    """The row of the message, unless another process has claimed it since."""
    return and_(OUTBOX.c.id == message.id, OUTBOX.c.due_at == message.until)


# ---------------------------------------------------------------------- one handler a kind


async def _start(platform: Platform, engine: Engine, message: OutboxMessage) -> bool:
    """Have an engine carry out a run, unless it is held or has ended.

    A process that died between the engine's answer and our note of it leaves an engine run that we
    do not know: the engine is asked again, and its answer noted, though the run is held.
    """
    run = await _read(platform, message.subject)
    if run is None or run.state in ENDED or (run.held and (run.local or run.engine_run_id)):
        return True
    await _expect_start(platform, run.id)
    await _note_engine_run(platform, run.id, await _request(platform, engine, run))
    return True


async def _request(platform: Platform, engine: Engine, run: Any) -> EngineRun:
    """Request a run; deploy the local flow again where the engine has forgotten it."""
    try:
        return await engine.request(_ref(run))
    except NotFound:
        if not run.local:
            raise
        await _deploy(platform, engine, run.version_id)
        return await engine.request(_ref(run))


async def _wake(platform: Platform, engine: Engine, message: OutboxMessage) -> bool:
    """Have a run go on, unless it is held or waits for something that has not arrived.

    A holder finds what arrived by itself; the message stays until then, for it may park meanwhile.
    """
    run = await _read(platform, message.subject)
    if run is None or run.state in ENDED:
        return True
    async with platform.database.session() as session:
        news = await something_to_do(session, run.id)
    if run.held:
        return not news
    if not news and run.state is RunState.WAITING:
        await _expect_no_start(platform, run.id)
        return True
    await _expect_start(platform, run.id)
    ref = _ref(run)
    if ref.engine_run_id is None:
        made = await _request(platform, engine, run)
        await _note_engine_run(platform, run.id, made)
        ref = replace(ref, engine_run_id=made.id)
    await _note_engine_run(platform, run.id, await engine.wake(ref))
    return True


async def _cancel(platform: Platform, engine: Engine, message: OutboxMessage) -> bool:
    """Cancel a run that its caller no longer wants, or stop the engine's run of a cancelled one."""
    run = await _read(platform, message.subject)
    if run is None:
        return True
    if run.state not in ENDED:
        await _cancel_for_caller(platform, message)
    if run.engine_run_id and (run.local or run.state in ENDED):
        await engine.cancel(_ref(run))
    return True


async def _deploy_version(platform: Platform, engine: Engine, message: OutboxMessage) -> bool:
    await _deploy(platform, engine, message.subject)
    return True


async def _deploy(platform: Platform, engine: Engine, version_id: UUID) -> None:
    """Make a published local flow startable, unless it is gone."""
    flow: RunnableFlow | None
    async with platform.database.session() as session:
        try:
            flow = await runnable_version(session, platform, version_id)
        except NotFound:
            flow = None
    if flow is not None and flow.entrypoint is not None:
        version = flow.version
        await engine.deploy(
            LocalFlowRef(
                version_id=version_id,
                flow=version.entry_ref,
                version=version.version,
                team=version.team,
                entrypoint=flow.entrypoint,
            ),
        )


async def _make_pool(platform: Platform, engine: Engine, message: OutboxMessage) -> bool:
    """Make the work pool of a team, so that its worker can ask for runs before the first flow."""
    async with platform.database.session() as session:
        team = await session.scalar(select(col(Team.slug)).where(col(Team.id) == message.subject))
    if team is not None:
        await engine.prepare(team)
    return True


async def _deliver(platform: Platform, _: Engine, message: OutboxMessage) -> bool:
    """Deliver an event to those it did not reach when it was received."""
    await event_triggers.settle(platform, message.subject)
    return True


async def _reschedule(platform: Platform, _: Engine, message: OutboxMessage) -> bool:
    """Make the schedule of a flow that of its live version."""
    await sync.refresh_schedule(platform, message.subject)
    return True


_HANDLERS: Final[dict[OutboxKind, Handler]] = {
    OutboxKind.START: _start,
    OutboxKind.WAKE: _wake,
    OutboxKind.CANCEL: _cancel,
    OutboxKind.DEPLOY: _deploy_version,
    OutboxKind.EVENT: _deliver,
    OutboxKind.POOL: _make_pool,
    OutboxKind.SCHEDULE: _reschedule,
}


async def _cancel_for_caller(platform: Platform, message: OutboxMessage) -> None:
    """Cancel on behalf of the caller: a local run at once, a central one by its own machine.

    The caller takes the cancellation back by deleting the message (`coe.execution.children`).
    """
    now, run_id = platform.clock(), message.subject
    async with platform.database.session() as session:
        still_wanted = select(OUTBOX.c.id).where(OUTBOX.c.id == message.id).with_for_update()
        if (await session.execute(still_wanted)).one_or_none() is None:
            return
        found = await session.execute(
            select(*IDENTITY_COLUMNS, RUNS.c.state)
            .where(RUNS.c.id == run_id)
            .with_for_update(key_share=True),
        )
        run = found.one()
        if run.state in ENDED:
            return
        if run.local:
            identity = IDENTITY_COLUMNS.record(run)
            await completion.close_cancelled(session, platform.keyring, identity, None, now)
        else:
            fact = Fact(FactKind.RUN_CANCELLED, now)
            await inbox.send(session, platform.keyring, run_id, fact)
        await keep_cancellation_by_caller(session, platform.keyring, run, now)
        await session.commit()


async def _read(platform: Platform, run_id: UUID) -> Any:
    async with platform.database.session() as session:
        rows = await session.execute(
            select(
                *IDENTITY_COLUMNS,
                RUNS.c.state,
                RUNS.c.fence,
                and_(RUNS.c.holder.is_not(None), RUNS.c.lease_until >= NOW).label("held"),
                RUNS.c.engine_run_id,
            ).where(RUNS.c.id == run_id),
        )
        return rows.one_or_none()


def _ref(run: Any) -> RunRef:
    """What the engine may know. A central run has one engine run, whoever holds it."""
    return RunRef(
        id=run.id,
        flow=f"{run.flow}@{run.version}",
        team=run.team,
        local=run.local,
        attempt=run.fence if run.local else 0,
        engine_run_id=run.engine_run_id,
        trace_id=run.trace_id,
    )


async def _expect_start(platform: Platform, run_id: UUID) -> None:
    """Note, before the engine is asked, until when the run should have started.

    Whoever takes the run clears it; after that time the reaper asks again.
    """
    async with platform.database.session() as session:
        await session.execute(
            update(RUNS)
            .where(RUNS.c.id == run_id, RUNS.c.holder.is_(None), RUNS.c.state.not_in(ENDED))
            .values(lease_until=NOW + EXPECTED_WITHIN),
        )
        await session.commit()


async def _expect_no_start(platform: Platform, run_id: UUID) -> None:
    """Clear that time of a run that waits."""
    waits = (RUNS.c.state == RunState.WAITING) & RUNS.c.holder.is_(None)
    async with platform.database.session() as session:
        await session.execute(
            update(RUNS).where(RUNS.c.id == run_id, waits).values(lease_until=None),
        )
        await session.commit()


async def _note_engine_run(platform: Platform, run_id: UUID, made: EngineRun) -> None:
    """Keep the engine's own id of the run and the address of its page."""
    async with platform.database.session() as session:
        await session.execute(
            update(RUNS)
            .where(RUNS.c.id == run_id)
            .values(engine_run_id=made.id, engine_url=made.url),
        )
        await session.commit()
