"""A run that no worker has taken says so, and when one was last seen."""

from __future__ import annotations

import re
from datetime import timedelta
from uuid import UUID

from sqlalchemy import update

from coe.db import utcnow
from coe.runs import actions, local_runs
from coe.runs.tables import RUNS, TEAM_WORKERS
from coe.runs.worker_presence import _length, note_worker, waits_of_runs, workers_of_teams
from coe.work import Platform
from tests.factories.people import OUTSIDER, SALES_OWNER, WAREHOUSE_DEVELOPER, WAREHOUSE_WORKER
from tests.factories.runs import central, local, publish, start


async def _requested(platform: Platform, ago: timedelta) -> UUID:
    await publish(platform, local("pack"), "warehouse-developer")
    async with platform.work(WAREHOUSE_DEVELOPER) as work:
        run = await actions.start_run(work, flow="warehouse/pack", input={"order": 7})
    await _since(platform, ago)
    return run.id


async def _since(platform: Platform, ago: timedelta) -> None:
    then = utcnow() - ago
    async with platform.database.session() as session:
        await session.execute(update(RUNS).values(waits_since=then, requested_at=then))
        await session.commit()


async def _seen(platform: Platform, ago: timedelta = timedelta()) -> None:
    async with platform.database.session() as session:
        await note_worker(session, "warehouse")
        await session.execute(update(TEAM_WORKERS).values(seen_at=TEAM_WORKERS.c.seen_at - ago))
        await session.commit()


async def _says(platform: Platform, run_id: UUID) -> str | None:
    async with platform.read(WAREHOUSE_DEVELOPER) as read:
        return (await waits_of_runs(read, [run_id])).get(run_id)


async def test_at_first_a_run_is_on_its_way(platform: Platform) -> None:
    run_id = await _requested(platform, timedelta())
    assert await _says(platform, run_id) is None


async def test_it_says_that_no_worker_was_ever_seen(platform: Platform) -> None:
    run_id = await _requested(platform, timedelta(days=2, hours=3, minutes=1))
    said = await _says(platform, run_id)
    assert said == "no worker of warehouse has taken it for 2 d 3 h; none was ever seen"


async def test_it_says_when_one_was_last_seen(platform: Platform) -> None:
    run_id = await _requested(platform, timedelta(seconds=3725))
    await _seen(platform, timedelta(days=1))
    said = await _says(platform, run_id) or ""
    first, _, last = said.partition("; ")
    assert first == "no worker of warehouse has taken it for 1 h 2 min"
    assert re.fullmatch(r"last seen \d{4}-\d\d-\d\d \d\d:\d\d UTC", last), said
    await _seen(platform)
    assert "one is there, last seen" in (await _says(platform, run_id) or "")


async def test_a_run_that_a_worker_has_does_not_wait_and_a_released_one_does(
    platform: Platform,
) -> None:
    run_id = await _requested(platform, timedelta(minutes=1))
    async with platform.work(WAREHOUSE_WORKER) as work:
        attempt = (await local_runs.claim_run(work, run_id)).attempt
    assert await _says(platform, run_id) is None
    async with platform.work(WAREHOUSE_WORKER) as work:
        await local_runs.release_run(work, run_id, attempt=attempt)
    assert await _says(platform, run_id) is None
    await _since(platform, timedelta(hours=1, seconds=9))
    said = await _says(platform, run_id) or ""
    assert said.startswith("it waits to go on: no worker of warehouse has taken it for 1 h ")


async def test_a_central_run_says_so_too(platform: Platform) -> None:
    await publish(platform, central("simple", "  - a:\n      set: {b: 1}\n"))
    run = await start(platform, "sales/simple")
    await _since(platform, timedelta(hours=4, minutes=5, seconds=5))
    async with platform.read(WAREHOUSE_DEVELOPER) as read:
        assert await waits_of_runs(read, [run.id]) == {}
    async with platform.read(OUTSIDER) as read:
        assert await waits_of_runs(read, [run.id]) == {}
    async with platform.read(SALES_OWNER) as read:
        said = (await waits_of_runs(read, [run.id]))[run.id]
    assert said == "no central worker has taken it for 4 h 5 min"


async def test_a_team_without_a_worker_is_left_out_and_outsiders_learn_nothing(
    platform: Platform,
) -> None:
    await _seen(platform)
    for actor, known in ((SALES_OWNER, {"warehouse"}), (OUTSIDER, set())):
        async with platform.read(actor) as read:
            assert set(await workers_of_teams(read, ["warehouse", "finance"])) == known


def test_a_length_of_time_is_in_its_two_largest_units() -> None:
    lengths = {0: "0 s", 40: "40 s", 90: "1 min 30 s", 3600: "1 h", 93_784: "1 d 2 h"}
    assert {number: _length(timedelta(seconds=number)) for number in lengths} == lengths
