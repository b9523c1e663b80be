"""A crash at any write: the run completes, and no journaled leaf runs again."""

from __future__ import annotations

import asyncio
from datetime import datetime
from uuid import UUID

import pytest
from sqlalchemy import func, select

from coe.db import Database
from coe.errors import Unavailable
from coe.execution.advance import Finished, LostLease, Parked, advance
from coe.execution.due_timers import fire_due
from coe.execution.runtime import Runtime
from coe.human_tasks import actions as human_tasks
from coe.json_types import JSON
from coe.leaves.leaf import LeafFault
from coe.machine.commands import RunLeaf
from coe.outbox import OUTBOX
from coe.runs.journal import Append, Journal, LeaseLostError
from coe.runs.leases import Lease, acquire
from coe.runs.models import RunState
from coe.runs.tables import JOURNAL, RUNS, STEPS, TASKS
from coe.work import Platform
from tests.factories.databases import cut_connections, despite_cuts
from tests.factories.people import FINANCE_APPROVER
from tests.factories.runs import (
    APPROVAL,
    HTTP,
    Leaves,
    central,
    engine,
    lapse,
    open_task,
    publish,
    runtime,
    start,
    until,
)

PROCESS = (
    HTTP.format(name="credit")
    + """  - both:
      fork:
        branches:
          - left:
              call: http
              with: {method: get, endpoint: https://wms.example.com/left}
              timeout: {after: PT1H}
          - right:
              call: http
              with: {method: get, endpoint: https://wms.example.com/right}
              timeout: {after: PT1H}
  - attempt:
      try:
        - shaky:
            call: http
            with: {method: get, endpoint: https://erp.example.com/shaky}
            timeout: {after: PT1H}
      catch:
        retry:
          delay: {milliseconds: 20}
          limit: {attempt: {count: 3}}
  - again:
      set: {customer: "${ $workflow.input.customer }"}
"""
    + APPROVAL
    + HTTP.format(name="book")
)
LEAVES_OF_A_RUN = {"credit": 1, "left": 1, "right": 1, "shaky": 2, "book": 1}


class Crash(BaseException):
    """The process is gone: nothing after it is done."""


async def _acquire(platform: Platform, run_id: UUID, *, seconds: float = 60) -> Lease | None:
    direct = platform.database.direct()
    try:
        return await acquire(direct, run_id, holder="me", seconds=seconds)
    finally:
        await direct.close()


class CrashingJournal(Journal):
    """Dies at the nth append, before or after it is committed."""

    def __init__(self, database: Database, at: int, *, after: bool) -> None:
        super().__init__(database)
        self.left, self.after = at, after

    async def append(self, batch: Append) -> None:
        self.left -= 1
        if self.left == 0 and not self.after:
            raise Crash
        await super().append(batch)
        if self.left == 0:
            raise Crash


def _leaves() -> Leaves:
    async def shaky(leaf: RunLeaf) -> JSON:
        if leaf.attempt == 1:
            raise LeafFault({"type": "about:shaky", "status": 503})
        return {"ok": True}

    return Leaves({"credit": {"customer": "x"}, "shaky": shaky, "book": {"booked": True}})


async def _advance(platform: Platform, run_id: UUID, leaves: Leaves, journal: Journal | None):
    async with runtime(platform, leaves) as running:
        if journal is not None:
            running.journal = journal  # type: ignore[misc]  # the seam of this test
        return await advance(running, run_id)


async def _answer(platform: Platform, run_id: UUID) -> None:
    async with platform.database.session() as session:
        task_id = await session.scalar(
            select(TASKS.c.id).where(TASKS.c.run_id == run_id, TASKS.c.state == "OPEN")
        )
    if task_id is not None:
        async with platform.work(FINANCE_APPROVER) as work:
            await human_tasks.complete_task(work, task_id, outcome="approved", answer={"limit": 1})


async def _to_the_end(platform: Platform, run_id: UUID, leaves: Leaves, at: int, *, after: bool):
    """Carry the run on, dying once at the nth append; gives the state and whether it died."""
    journal: Journal | None = CrashingJournal(platform.database, at, after=after)
    died = False
    while True:
        try:
            outcome = await _advance(platform, run_id, leaves, journal)
        except Crash:
            journal, died = None, True
            await lapse(platform)
            continue
        match outcome:
            case Finished(state):
                return state, died
            case Parked():
                await _answer(platform, run_id)
                await fire_due(platform)
            case LostLease():
                pytest.fail("nobody else is there")


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_crash_at_any_append_loses_and_repeats_nothing(
    platform: Platform,
    after: bool,  # noqa: FBT001  # a parameter of the test
) -> None:
    await publish(platform, central("whole", PROCESS))
    at = 0
    died = True
    while died:
        at += 1
        leaves = _leaves()
        run = await start(platform, "sales/whole")
        state, died = await _to_the_end(platform, run.id, leaves, at, after=after)
        assert state == "COMPLETED"
        assert set(leaves.calls) == set(LEAVES_OF_A_RUN)
        repeated = [key for key, count in leaves.keys.items() if count > 1]
        # What was journaled never runs again; what was in flight at most once more.
        assert len(repeated) <= (3 if died else 0)
        assert all(leaves.keys[key] <= 2 for key in repeated)
        await _check_records(platform, run.id)
    assert at > 8


async def _check_records(platform: Platform, run_id: UUID) -> None:
    async with platform.database.session() as session:
        positions = await session.scalars(
            select(JOURNAL.c.position).where(JOURNAL.c.run_id == run_id).order_by("position")
        )
        found = list(positions)
        states = await session.execute(
            select(STEPS.c.name, STEPS.c.state)
            .where(STEPS.c.run_id == run_id)
            .order_by(STEPS.c.place)
        )
        steps = {row.name: row.state for row in states}
        tasks = await session.scalar(
            select(func.count()).select_from(TASKS).where(TASKS.c.run_id == run_id)
        )
    assert found == list(range(len(found)))
    assert tasks == 1
    assert {name: str(state) for name, state in steps.items()} == {
        **dict.fromkeys(LEAVES_OF_A_RUN, "COMPLETED"),
        **dict.fromkeys(("both", "attempt", "again", "approve"), "COMPLETED"),
    }


async def test_a_holder_that_lost_the_lease_can_append_nothing(platform: Platform) -> None:
    await publish(platform, central("simple", HTTP.format(name="credit")))
    run = await start(platform, "sales/simple")
    old = await _acquire(platform, run.id, seconds=-1)
    new = await _acquire(platform, run.id)
    assert old is not None
    assert new is not None
    assert new.fence == old.fence + 1
    journal = Journal(platform.database)
    with pytest.raises(LeaseLostError):
        await journal.append(Append(run.id, old.fence, old.position))
    await journal.append(Append(run.id, new.fence, new.position))
    with pytest.raises(LeaseLostError):
        await journal.append(Append(run.id, new.fence, new.position + 1))
    await journal.close()


async def test_the_lease_of_a_living_holder_is_renewed_while_a_leaf_takes_long(
    platform: Platform,
) -> None:
    await publish(platform, central("simple", HTTP.format(name="credit")))
    gate = asyncio.Event()

    async def slow(leaf: RunLeaf) -> JSON:
        await gate.wait()
        return {}

    async def lease_until() -> datetime:
        async with platform.database.session() as session:
            found = await session.scalar(select(RUNS.c.lease_until).where(RUNS.c.id == run.id))
        assert found is not None
        return found

    leaves = Leaves({"credit": slow})
    run = await start(platform, "sales/simple")
    async with runtime(platform, leaves) as holder:
        running = asyncio.create_task(advance(holder, run.id))
        while not leaves.calls:
            await asyncio.sleep(0.01)
        before = await lease_until()
        async with asyncio.timeout(60):
            while await lease_until() <= before:
                await asyncio.sleep(0.05)
        gate.set()
        await running


async def test_two_executors_at_once_run_each_leaf_once(platform: Platform) -> None:
    await publish(platform, central("simple", HTTP.format(name="credit")))
    gate = asyncio.Event()

    async def slow(leaf: RunLeaf) -> JSON:
        await gate.wait()
        return {}

    leaves = Leaves({"credit": slow})
    run = await start(platform, "sales/simple")
    async with runtime(platform, leaves) as one, runtime(platform, leaves) as other:
        first = asyncio.create_task(advance(one, run.id))
        while not leaves.calls:
            await asyncio.sleep(0.01)
        assert isinstance(await advance(other, run.id), LostLease)
        gate.set()
        assert isinstance(await first, Finished)
    assert leaves.calls == {"credit": 1}


async def test_a_holder_that_was_taken_for_dead_stops(platform: Platform) -> None:
    await publish(platform, central("simple", HTTP.format(name="credit")))
    stopped = asyncio.Event()

    async def endless(leaf: RunLeaf) -> JSON:
        try:
            await asyncio.sleep(3600)
        finally:
            stopped.set()
        return {}

    run = await start(platform, "sales/simple")
    async with runtime(platform, Leaves({"credit": endless})) as slow:
        held = asyncio.create_task(advance(slow, run.id))
        while run.id not in slow._held:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
        await lapse(platform)
        outcome = await _advance(platform, run.id, Leaves({"credit": {}}), None)
        assert isinstance(outcome, Finished)
        await slow.beat()
        assert isinstance(await held, LostLease)
    assert stopped.is_set()


class _CountingJournal(Journal):
    commits = 0

    async def _write_plain(self, group):
        self.commits += 1
        return await super()._write_plain(group)


async def test_appends_of_many_runs_share_commits(platform: Platform) -> None:
    await publish(platform, central("simple", HTTP.format(name="credit")))
    runs = [await start(platform, "sales/simple") for _ in range(20)]
    journal = _CountingJournal(platform.database)
    leases = []
    for run in runs:
        lease = await _acquire(platform, run.id)
        assert lease is not None
        leases.append(lease)
    lost = leases[7].fence + 1
    results = await asyncio.gather(
        *(
            journal.append(
                Append(lease.run_id, lost if number == 7 else lease.fence, lease.position)
            )
            for number, lease in enumerate(leases)
        ),
        return_exceptions=True,
    )
    assert [type(each) for each in results if each is not None] == [LeaseLostError]
    assert results[7] is not None
    assert 1 <= journal.commits <= 2
    await journal.close()


async def test_a_bad_append_does_not_spoil_its_group(platform: Platform) -> None:
    await publish(platform, central("simple", HTTP.format(name="credit")))
    runs = [await start(platform, "sales/simple") for _ in range(3)]
    journal = Journal(platform.database)
    appends = []
    for run in runs:
        lease = await _acquire(platform, run.id)
        assert lease is not None
        appends.append(Append(lease.run_id, lease.fence, lease.position))

    async def fail(session):
        raise RuntimeError("no")

    async def do_nothing(session):
        pass

    for append, change in zip(appends, (do_nothing, fail, do_nothing), strict=True):
        append.changes.append(change)
    results = await asyncio.gather(
        *(journal.append(append) for append in appends), return_exceptions=True
    )
    assert [type(each) for each in results] == [type(None), RuntimeError, type(None)]
    await journal.close()


async def test_a_journal_continues_over_a_new_connection_when_its_own_was_cut(
    platform: Platform,
) -> None:
    await publish(platform, central("simple", HTTP.format(name="credit")))
    run = await start(platform, "sales/simple")
    journal = Journal(platform.database)
    lease = await _acquire(platform, run.id)
    assert lease is not None
    await journal.append(Append(run.id, lease.fence, lease.position))
    await cut_connections(platform.database, "test")
    batch = Append(run.id, lease.fence, lease.position)
    await despite_cuts(lambda: journal.append(batch))
    await journal.close()


def test_each_runtime_has_a_unique_name(platform: Platform) -> None:
    names = {
        Runtime(platform, perform=Leaves().perform, evaluate=None).holder  # type: ignore[arg-type]
        for _ in range(3)
    }
    assert len(names) == 3


async def test_a_holder_that_is_stopped_gives_the_run_up_at_once(platform: Platform) -> None:
    await publish(platform, central("simple", HTTP.format(name="credit")))
    run = await start(platform, "sales/simple")

    async def endless(leaf: RunLeaf) -> JSON:
        await asyncio.sleep(3600)
        return None

    leaves = Leaves({"credit": endless})
    async with runtime(platform, leaves) as stopping:
        held = asyncio.create_task(advance(stopping, run.id))
        while not leaves.calls:
            await asyncio.sleep(0.01)
        held.cancel()
        await asyncio.gather(held, return_exceptions=True)
    leaves.answers = {"credit": {}}
    async with runtime(platform, leaves) as other:
        assert isinstance(await advance(other, run.id), Finished)
    assert sorted(leaves.keys.values()) == [2]
    async with platform.database.session() as session:
        kinds = await session.scalars(select(OUTBOX.c.kind).where(OUTBOX.c.subject == run.id))
        assert "wake" in list(kinds)


async def test_runs_survive_the_loss_of_every_connection(platform: Platform) -> None:
    await publish(platform, central("asks", APPROVAL + HTTP.format(name="book")))
    async with engine(platform, Leaves({"book": {}})):
        run = await start(platform, "sales/asks")
        task_id = await open_task(platform, run.id)
        await until(platform, run.id, "WAITING")
        await cut_connections(platform.database)

        async def approve() -> None:
            async with platform.work(FINANCE_APPROVER) as work:
                await human_tasks.complete_task(
                    work, task_id, outcome="approved", answer={"limit": 1}
                )

        await despite_cuts(approve)
        assert (await until(platform, run.id, "COMPLETED", "FAULTED")).state == "COMPLETED"


async def test_an_engine_that_cannot_run_a_leaf_faults_nothing(platform: Platform) -> None:
    await publish(platform, central("simple", HTTP.format(name="credit")))
    run = await start(platform, "sales/simple")
    leaves = Leaves({"credit": {}})

    async def away(name, key, work):
        raise ConnectionError("the engine is away")

    async with runtime(platform, leaves) as running:
        with pytest.raises(Unavailable):
            await advance(running, run.id, run_task=away)
        assert not leaves.calls
        assert await advance(running, run.id) == Finished(RunState.COMPLETED)
    assert leaves.calls == {"credit": 1}
