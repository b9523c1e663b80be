"""Dispatch: what the outbox asks for is done by an engine, outside every transaction.

A row is claimed by moving its `due_at` ahead (`SKIP LOCKED`, so several processes share the work),
then the engine is called, then the row is deleted. A process that dies in between leaves the row
to be claimed again: every call may happen twice. A call that fails moves `due_at` on, with growing
pauses, for ever: while the engine is away, runs wait in the queue.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import delete, func, select, text, update

from coe.catalog.contents import runnable_version
from coe.errors import CoeError, NotFound
from coe.runs import events, events_delivery, inbox
from coe.runs.commands import Cancelled
from coe.runs.endings import HEAD_COLUMNS, close, head, prepare
from coe.runs.engine import Engine, EngineHealth, EngineRun, LocalFlowRef, RunRef
from coe.runs.facts import Fact, FactKind
from coe.runs.leases import ENDED, something_to_do
from coe.runs.models import RunState
from coe.runs.tables import OUTBOX, RUNS
from coe.work import Platform

BATCH: Final = 50
AT_ONCE: Final = 10
CLAIMED_FOR: Final = timedelta(seconds=20)
"""How long a claimed row is left to its dispatcher; an engine's call takes less."""
EXPECTED_WITHIN: Final = timedelta(seconds=15)
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


async def dispatch_once(platform: Platform, engine: Engine) -> int:
    """Do what is due in the outbox; gives how many rows were claimed."""
    wishes = await _claim(platform)
    gate = asyncio.Semaphore(AT_ONCE)

    async def do(wish: _Wish) -> None:
        async with gate:
            await _fulfil(platform, engine, wish)

    await asyncio.gather(*(do(wish) for wish in wishes))
    return len(wishes)


async def next_wish(platform: Platform) -> datetime | None:
    """When the next row of the outbox is due."""
    async with platform.database.session() as session:
        due: datetime | None = await session.scalar(select(func.min(OUTBOX.c.due_at)))
        return due


async def engine_health(platform: Platform, engine: Engine) -> EngineHealth:
    """What the engine says of itself, with how many requests wait for it."""
    health = await engine.health()
    async with platform.database.session() as session:
        queued = await session.scalar(select(func.count()).select_from(OUTBOX))
    return EngineHealth(health.name, health.ready, health.detail, queued or 0)


async def _claim(platform: Platform) -> list[_Wish]:
    """Claim rows. Wishes for one run are done one after the other, but a cancellation at once."""
    now = platform.clock()
    async with platform.database.session() as session:
        rows = await session.execute(
            _CLAIM,
            {"now": now, "until": now + CLAIMED_FOR, "batch": BATCH},
        )
        wishes = [_Wish(row.id, row.kind, row.subject, row.attempts) for row in rows]
        await session.commit()
    return wishes


_CLAIM: Final = text(
    """
    WITH due AS (
        SELECT id FROM outbox
        WHERE due_at <= :now AND (kind = 'cancel' OR NOT EXISTS (
            SELECT 1 FROM outbox AS earlier
            WHERE earlier.subject = outbox.subject AND earlier.id < outbox.id
              AND earlier.kind <> 'cancel'
        ))
        ORDER BY due_at LIMIT :batch FOR UPDATE SKIP LOCKED
    )
    UPDATE outbox SET due_at = :until FROM due WHERE outbox.id = due.id
    RETURNING outbox.id, outbox.kind, outbox.subject, outbox.attempts
    """,
)


async def _fulfil(platform: Platform, engine: Engine, wish: _Wish) -> None:
    try:
        done = await _DOERS[wish.kind](platform, engine, wish.subject)
    except Exception as error:  # noqa: BLE001  # whatever an engine raises: the wish stays
        await _postpone(platform, wish, error)
        return
    async with platform.database.session() as session:
        if done:
            await session.execute(delete(OUTBOX).where(OUTBOX.c.id == wish.id))
        else:
            later = platform.clock() + HELD_PAUSE
            await session.execute(
                update(OUTBOX).where(OUTBOX.c.id == wish.id).values(due_at=later),
            )
        await session.commit()


async def _postpone(platform: Platform, wish: _Wish, error: Exception) -> None:
    code = error.code if isinstance(error, CoeError) else type(error).__name__
    pause = min(timedelta(seconds=0.25 * 2 ** min(wish.attempts, 10)), LONGEST_PAUSE)
    _log.warning("%s of %s is put off: %s", wish.kind, wish.subject, code)
    async with platform.database.session() as session:
        await session.execute(
            update(OUTBOX)
            .where(OUTBOX.c.id == wish.id)
            .values(
                attempts=OUTBOX.c.attempts + 1,
                due_at=platform.clock() + pause,
                last_error=code,
            ),
        )
        await session.commit()


# ---------------------------------------------------------------------- what is wished for


async def _start(platform: Platform, engine: Engine, run_id: UUID) -> bool:
    """Have an engine carry a run out, unless somebody does already or it has ended."""
    run = await _read(platform, run_id)
    if run is None or run.state in ENDED or _held(platform, run):
        return True
    await _expect(platform, run_id)
    await _note(platform, run_id, await _request(platform, engine, run))
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


async def _wake(platform: Platform, engine: Engine, run_id: UUID) -> bool:
    """Have a run go on, unless it is held or waits for something that has not come.

    A holder finds the news by itself; the wish is kept until it has, in case it parks meanwhile.
    """
    run = await _read(platform, run_id)
    if run is None or run.state in ENDED:
        return True
    async with platform.database.session() as session:
        news = await something_to_do(session, run_id, now=platform.clock())
    if _held(platform, run):
        return not news
    if not news and run.state is RunState.WAITING:
        await _expect_nothing(platform, run_id)
        return True
    await _expect(platform, run_id)
    if run.engine_run_id is None:
        await _note(platform, run_id, await _request(platform, engine, run))
    else:
        await _note(platform, run_id, await engine.wake(_ref(run)))
    return True


async def _cancel(platform: Platform, engine: Engine, run_id: UUID) -> bool:
    """Cancel a run that its caller no longer wants, or tell the engine of one that is cancelled."""
    run = await _read(platform, run_id)
    if run is None:
        return True
    if run.state not in ENDED:
        await _end(platform, run_id)
    if run.engine_run_id and (run.local or run.state in ENDED):
        await engine.cancel(_ref(run))
    return True


async def _deploy(platform: Platform, engine: Engine, version_id: UUID) -> bool:
    """Make a published local flow startable."""
    async with platform.database.session() as session:
        try:
            flow = await runnable_version(session, platform, version_id)
        except NotFound:
            return True
    if flow.entrypoint is not None:
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
    return True


async def _settle(platform: Platform, _: Engine, event_id: UUID) -> bool:
    """Bring an event to whom it could not be brought while it was received."""
    await events_delivery.again(platform, event_id)
    return True


_DOERS: Final = {
    "start": _start,
    "wake": _wake,
    "cancel": _cancel,
    "deploy": _deploy,
    events.WISH: _settle,
}


async def _end(platform: Platform, run_id: UUID) -> None:
    """Cancel on behalf of the caller: a local run at once, a central one by its own machine."""
    now = platform.clock()
    async with platform.database.session() as session:
        found = await session.execute(
            select(*HEAD_COLUMNS, RUNS.c.state)
            .where(RUNS.c.id == run_id)
            .with_for_update(key_share=True),
        )
        run = found.one()
        if run.state in ENDED:
            return
        if run.local:
            ending = await prepare(platform.keyring, head(run), Cancelled(), now)
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
                *HEAD_COLUMNS,
                RUNS.c.state,
                RUNS.c.holder,
                RUNS.c.fence,
                RUNS.c.lease_until,
                RUNS.c.engine_run_id,
                RUNS.c.trace_id,
            ).where(RUNS.c.id == run_id),
        )
        return rows.one_or_none()


def _held(platform: Platform, run: Any) -> bool:
    return run.holder is not None and run.lease_until >= platform.clock()


def _ref(run: Any) -> RunRef:
    return RunRef(
        id=run.id,
        flow=f"{run.flow}@{run.version}",
        team=run.team,
        local=run.local,
        attempt=run.fence,
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
            .values(lease_until=platform.clock() + EXPECTED_WITHIN),
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
