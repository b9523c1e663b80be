"""Timers of an active run: in memory while it is held, rows when it parks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from coe.errors import Unavailable
from coe.execution.advance import Finished, Parked, advance
from coe.json_types import JSON
from coe.machine.commands import RunLeaf
from coe.runs import leases
from coe.runs.leases import Parking
from coe.runs.tables import TIMERS
from coe.runs.timers import TimerQueue
from coe.work import Platform
from tests.factories.runs import HTTP, Leaves, central, publish, runtime, start

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def at(minutes: int) -> datetime:
    return NOON + timedelta(minutes=minutes)


def test_due_timers_are_returned_once_in_the_order_of_their_times() -> None:
    timers = TimerQueue()
    for key, minutes in (("c", 3), ("a", 1), ("b", 2), ("later", 9)):
        timers.arm(key, at(minutes))
    assert timers.next_due() == at(1)
    assert timers.take_due(at(3)) == ["a", "b", "c"]
    assert timers.take_due(at(3)) == []
    assert timers.next_due() == at(9)


def test_a_timer_that_was_moved_or_dropped_is_not_due_at_its_old_time() -> None:
    timers = TimerQueue()
    timers.arm("moved", at(1))
    timers.arm("dropped", at(1))
    timers.arm("moved", at(5))
    timers.drop("dropped")
    assert timers.take_due(at(2)) == []
    assert timers.take_due(at(5)) == ["moved"]


async def test_a_timeout_that_does_not_expire_writes_no_row(platform: Platform) -> None:
    seen = []

    async def answer(leaf: RunLeaf) -> JSON:
        async with platform.database.session() as session:
            seen.append((await session.execute(select(TIMERS))).all())
        return {}

    await publish(platform, central("simple", HTTP.format(name="credit")))
    run = await start(platform, "sales/simple")
    async with runtime(platform, Leaves({"credit": answer})) as running:
        assert isinstance(await advance(running, run.id), Finished)
    assert seen == [[]]


async def test_a_parked_run_has_rows_for_its_timers(platform: Platform) -> None:
    await publish(platform, central("rests", "  - rest:\n      wait: {hours: 1}\n"))
    run = await start(platform, "sales/rests")
    async with runtime(platform, Leaves()) as running:
        parked = await advance(running, run.id)
        assert isinstance(parked, Parked)
        async with platform.database.session() as session:
            [timer] = (await session.execute(select(TIMERS))).all()
        assert timer.run_id == run.id
        assert parked.until == timer.due_at
        assert isinstance(await advance(running, run.id), Parked)
    async with platform.database.session() as session:
        assert len((await session.execute(select(TIMERS))).all()) == 1


async def test_a_timer_of_a_holder_that_died_before_it_parked_gets_its_row(
    platform: Platform,
) -> None:
    tasks = HTTP.format(name="credit") + "  - rest:\n      wait: {hours: 1}\n"
    await publish(platform, central("rests", tasks))
    run = await start(platform, "sales/rests")

    async def dies(session: object, lease: object) -> Parking:
        raise OSError("the holder is gone")

    async with runtime(platform, Leaves({"credit": {}})) as running:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(leases, "park", dies)
            with pytest.raises(Unavailable):
                await advance(running, run.id)
        assert isinstance(await advance(running, run.id), Parked)
    async with platform.database.session() as session:
        assert len((await session.execute(select(TIMERS))).all()) == 1
