"""Dispatch: what the outbox asks for is done by an engine, outside every transaction.

A row is claimed by moving its `due_at` ahead (`SKIP LOCKED`, so several processes share the work),
then the engine is called, then the row is deleted. A process that dies in between leaves the row
to be claimed again: every call may happen twice. A call that fails moves `due_at` on, with growing
pauses, for ever: while the engine is away, runs wait in the queue.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, and_, delete, exists, func, or_, select, update

from coe.catalog.flows.contents import runnable_version
from coe.catalog.records import RunnableFlow
from coe.errors import CoeError, NotFound
from coe.events import bus
from coe.machine.commands import Cancelled
from coe.machine.facts import Fact, FactKind
from coe.runs import inbox
from coe.runs.completion import close, prepare
from coe.runs.engine import Engine, EngineHealth, EngineRun, LocalFlowRef, RunRef
from coe.runs.leases import something_to_do
from coe.runs.models import ENDED, RunState
from coe.runs.records import IDENTITY_COLUMNS
from coe.runs.tables import NOW, OUTBOX, RUNS
from coe.schedules import event_triggers, sync
from coe.work import Platform

BATCH: Final = 50
AT_ONCE: Final = 10
CLAIMED_FOR: Final = timedelta(seconds=12)
"""How long a claimed row is left to its dispatcher; an engine's call takes less."""
EXPECTED_WITHIN: Final = timedelta(seconds=8)
"""How long an engine that took a run may leave it before it is asked again."""
HELD_PAUSE: Final = timedelta(seconds=1)
LONGEST_PAUSE: Final = timedelta(seconds=10)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Wish:
    """A claimed row of the outbox."""

    id: UUID
    kind: str
    subject: UUID
    attempts: int
    until: datetime
    """When somebody else may claim it; also, which claim this is."""


async def dispatch_once(platform: Platform, engine: Engine) -> int:
    """Do what is due in the outbox; gives how many rows were claimed."""
    wishes = await _claim(platform)
    gate = asyncio.Semaphore(AT_ONCE)

    async def do(wish: _Wish) -> None:
        async with gate:
            await _fulfil(platform, engine, wish)

    await asyncio.gather(*(do(wish) for wish in wishes))
    return len(wishes)


async def next_wish(platform: Platform) -> timedelta | None:
    """In how long the next row of the outbox is due, by the database's clock."""
    async with platform.database.session() as session:
        soonest = select(func.min(OUTBOX.c.due_at) - NOW).where(_in_turn)
        due: timedelta | None = await session.scalar(soonest)
        return due


async def engine_health(platform: Platform, engine: Engine) -> EngineHealth:
    """What the engine says of itself, with how many requests wait for it."""
    health = await engine.health()
    async with platform.database.session() as session:
        queued = await session.scalar(select(func.count()).select_from(OUTBOX))
    return EngineHealth(health.name, health.ready, health.detail, queued or 0)


async def _claim(platform: Platform) -> list[_Wish]:
    """Claim rows. Wishes for one run are done one after the other, but a cancellation at once."""
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
    return [_Wish(row.id, row.kind, row.subject, row.attempts, until[row.id]) for row in due]


_earlier = OUTBOX.alias("earlier")
_in_turn: Final = or_(
    OUTBOX.c.kind == "cancel",
    ~exists().where(
        _earlier.c.subject == OUTBOX.c.subject,
        _earlier.c.id < OUTBOX.c.id,
        _earlier.c.kind != "cancel",
    ),
)
_DUE: Final = (
    select(OUTBOX.c.id, OUTBOX.c.kind, OUTBOX.c.subject, OUTBOX.c.attempts)
    .where(OUTBOX.c.due_at <= NOW, _in_turn)
    .order_by(OUTBOX.c.due_at)
    .limit(BATCH)
    .with_for_update(skip_locked=True, of=OUTBOX)
)


async def _fulfil(platform: Platform, engine: Engine, wish: _Wish) -> None:
    try:
        done = await _DOERS[wish.kind](platform, engine, wish)
    except Exception as error:  # noqa: BLE001  # whatever an engine raises: the wish stays
        await _postpone(platform, wish, error)
        return
    async with platform.database.session() as session:
        if done:
            await session.execute(delete(OUTBOX).where(_still(wish)))
        else:
            later = update(OUTBOX).where(_still(wish)).values(due_at=NOW + HELD_PAUSE)
            await session.execute(later)
        await session.commit()


async def _postpone(platform: Platform, wish: _Wish, error: Exception) -> None:
    code = error.code if isinstance(error, CoeError) else type(error).__name__
    pause = min(timedelta(seconds=0.25 * 2 ** min(wish.attempts, 10)), LONGEST_PAUSE)
    _log.warning("%s of %s is put off: %s", wish.kind, wish.subject, code)
    async with platform.database.session() as session:
        await session.execute(
            update(OUTBOX)
            .where(_still(wish))
            .values(attempts=OUTBOX.c.attempts + 1, due_at=NOW + pause, last_error=code),
        )
        await session.commit()


def _still(wish: _Wish) -> ColumnElement[bool]:
    """The row, as long as nobody else has claimed it since: what they do, they put away."""
    return and_(OUTBOX.c.id == wish.id, OUTBOX.c.due_at == wish.until)


# ---------------------------------------------------------------------- what is wished for


async def _start(platform: Platform, engine: Engine, wish: _Wish) -> bool:
    """Have an engine carry a run out, unless somebody does already or it has ended.

    Whoever died between asking and noting leaves an engine's run of which we know nothing: it is
    asked for again, and noted, though somebody holds the run.
    """
    run = await _read(platform, wish.subject)
    if run is None or run.state in ENDED or (run.held and (run.local or run.engine_run_id)):
        return True
    await _expect(platform, run.id)
    await _note(platform, run.id, await _request(platform, engine, run))
    return True


async def _request(platform: Platform, engine: Engine, run: Any) -> EngineRun:
    """Request a run; an engine that has forgotten a local flow is told of it again."""
    try:
        return await engine.request(_ref(run))
    except NotFound:
        if not run.local:
            raise
        await _deploy(platform, engine, run.version_id)
        return await engine.request(_ref(run))


async def _wake(platform: Platform, engine: Engine, wish: _Wish) -> bool:
    """Have a run go on, unless it is held or waits for something that has not come.

    A holder finds the news by itself; the wish is kept until it has, in case it parks meanwhile.
    """
    run = await _read(platform, wish.subject)
    if run is None or run.state in ENDED:
        return True
    async with platform.database.session() as session:
        news = await something_to_do(session, run.id)
    if run.held:
        return not news
    if not news and run.state is RunState.WAITING:
        await _expect_nothing(platform, run.id)
        return True
    await _expect(platform, run.id)
    ref = _ref(run)
    if ref.engine_run_id is None:
        made = await _request(platform, engine, run)
        await _note(platform, run.id, made)
        ref = replace(ref, engine_run_id=made.id)
    await _note(platform, run.id, await engine.wake(ref))
    return True


async def _cancel(platform: Platform, engine: Engine, wish: _Wish) -> bool:
    """Cancel a run that its caller no longer wants, or tell the engine of one that is cancelled."""
    run = await _read(platform, wish.subject)
    if run is None:
        return True
    if run.state not in ENDED:
        await _end(platform, wish)
    if run.engine_run_id and (run.local or run.state in ENDED):
        await engine.cancel(_ref(run))
    return True


async def _deploy_wished(platform: Platform, engine: Engine, wish: _Wish) -> bool:
    await _deploy(platform, engine, wish.subject)
    return True


async def _deploy(platform: Platform, engine: Engine, version_id: UUID) -> None:
    """Make a published local flow startable; none that is gone."""
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


async def _settle(platform: Platform, _: Engine, wish: _Wish) -> bool:
    """Bring an event to whom it could not be brought while it was received."""
    await event_triggers.settle(platform, wish.subject)
    return True


async def _reschedule(platform: Platform, _: Engine, wish: _Wish) -> bool:
    """Let the schedule of a flow be that of its live version."""
    await sync.refresh(platform, wish.subject)
    return True


_DOERS: Final = {
    "start": _start,
    "wake": _wake,
    "cancel": _cancel,
    "deploy": _deploy_wished,
    bus.WISH: _settle,
    "schedule": _reschedule,
}


async def _end(platform: Platform, wish: _Wish) -> None:
    """Cancel on behalf of the caller: a local run at once, a central one by its own machine.

    Not if the caller has taken the wish back, which it does by deleting the row (`children`).
    """
    now, run_id = platform.clock(), wish.subject
    async with platform.database.session() as session:
        wished = select(OUTBOX.c.id).where(OUTBOX.c.id == wish.id).with_for_update()
        if (await session.execute(wished)).one_or_none() is None:
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
            ending = await prepare(platform.keyring, IDENTITY_COLUMNS.record(run), Cancelled(), now)
            ending.columns["fence"] = RUNS.c.fence + 1
            await close(session, platform.keyring, ending)
        else:
            fact = Fact(FactKind.RUN_CANCELLED, now)
            await inbox.send(session, platform.keyring, run_id, fact)
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
                RUNS.c.trace_id,
            ).where(RUNS.c.id == run_id),
        )
        return rows.one_or_none()


def _ref(run: Any) -> RunRef:
    """What the engine is told. A central run is one and the same for it, whoever holds it."""
    return RunRef(
        id=run.id,
        flow=f"{run.flow}@{run.version}",
        team=run.team,
        local=run.local,
        attempt=run.fence if run.local else 0,
        engine_run_id=run.engine_run_id,
        trace_id=run.trace_id,
    )


async def _expect(platform: Platform, run_id: UUID) -> None:
    """Note when the run should have begun, before the engine is asked: whoever takes it clears it.

    After that time the reaper asks again.
    """
    async with platform.database.session() as session:
        await session.execute(
            update(RUNS)
            .where(RUNS.c.id == run_id, RUNS.c.holder.is_(None), RUNS.c.state.not_in(ENDED))
            .values(lease_until=NOW + EXPECTED_WITHIN),
        )
        await session.commit()


async def _expect_nothing(platform: Platform, run_id: UUID) -> None:
    """Take the expectation back from a run that waits."""
    waits = (RUNS.c.state == RunState.WAITING) & RUNS.c.holder.is_(None)
    async with platform.database.session() as session:
        await session.execute(
            update(RUNS).where(RUNS.c.id == run_id, waits).values(lease_until=None),
        )
        await session.commit()


async def _note(platform: Platform, run_id: UUID, made: EngineRun) -> None:
    """Keep the engine's own id and page of the run."""
    async with platform.database.session() as session:
        await session.execute(
            update(RUNS)
            .where(RUNS.c.id == run_id)
            .values(engine_run_id=made.id, engine_url=made.url),
        )
        await session.commit()
