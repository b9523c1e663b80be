"""Two of every process over one installation: any may be killed, and all are replaced under load.

Nothing is lost, nothing happens twice, and whoever asks the platform notices nothing.
"""

from __future__ import annotations

import asyncio
import itertools
import signal
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from coe.db import Database
from coe.errors import CoeError
from coe.sdk import Client
from tests.engines.test_prefect_runs import CALL_LOCAL, FLOW
from tests.factories.counting_service import Service, serving
from tests.factories.prefect import House, Process, issue, until
from tests.factories.replicas import ROLES, Replica, Replicas, replicas
from tests.factories.runs import CANARY, HTTP, central, local, publish

START = """
mutation S($input: StartRunInput!) { startRun(input: $input) { run { id } problems { message } } }
"""
ENDS = text("SELECT state, count(*) FROM runs WHERE parent_id IS NULL GROUP BY state")
ACTIVE = text("""
    SELECT count(*) FROM runs
    WHERE parent_id IS NULL AND state NOT IN ('COMPLETED', 'FAULTED', 'CANCELLED')
""")
MOST_ACTIVE = 6
FAR = text("""
    SELECT (SELECT count(*) FROM outbox),
           (SELECT count(*) FROM audit_events WHERE position IS NULL)
""")


@dataclass
class Load:
    """Somebody who starts a run whenever few are active."""

    client: Client
    database: Database
    flows: tuple[str, ...]
    started: list[str] = field(default_factory=list)
    errors: list[CoeError] = field(default_factory=list)
    ends: bool = False

    async def go_on(self) -> None:
        """Start runs until it is to end; what was sent is answered, so every run is counted."""
        for flow in itertools.cycle(self.flows):
            while not self.ends and await self._active() >= MOST_ACTIVE:
                await asyncio.sleep(0.1)
            if self.ends:
                return
            given = {"flow": flow, "input": {"customer": CANARY}}
            key = {"clientMutationId": str(uuid.uuid4())}
            try:
                answer = await self.client.execute(START, {"input": given | key})
            except CoeError as error:
                self.errors.append(error)
            else:
                self.started.append(answer["startRun"]["run"]["id"])

    async def grow(self, by: int) -> None:
        """Wait until so many more runs were started, and so, until earlier ones have ended."""
        wanted = len(self.started) + by

        async def are_there() -> bool:
            return len(self.started) >= wanted

        await until(are_there, seconds=120)

    async def _active(self) -> int:
        async with self.database.session() as session:
            return await session.scalar(ACTIVE) or 0


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    async with serving() as service:
        yield service


@pytest.fixture
async def installation(house: House, service: Service) -> AsyncIterator[Replicas]:
    house.resolve = service.resolve
    two = HTTP.format(name="book") + HTTP.format(name="ship")
    await publish(house.platform, central("order", two))
    async with replicas(house) as made:
        yield made


@asynccontextmanager
async def under_load(made: Replicas, *flows: str) -> AsyncIterator[Load]:
    token = await issue(made.house.platform, "sales-owner")
    async with Client(made.balancer.url, token) as client:
        load = Load(client, made.house.platform.database, flows)
        working = asyncio.create_task(load.go_on())
        try:
            yield load
        finally:
            load.ends = True
            await working


async def somebody_seals(made: Replicas) -> bool:
    return [await each.seals() for each in made.of("sealer")].count(True) == 1


async def ordered(made: Replicas) -> dict[str, list[Replica]]:
    """Two of each role, ready; of the sealers, that which seals is the first."""
    for role in ROLES:
        for _ in range(2):
            await made.start(role)
    await made.ready()
    sealers = made.of("sealer")
    await until(lambda: somebody_seals(made))
    if not await sealers[0].seals():
        sealers.reverse()
    return {role: made.of(role) for role in ROLES} | {"sealer": sealers}


async def all_is_done(made: Replicas, load: Load) -> None:
    """Every run has ended well and once, everything is sealed, and nothing is left behind."""
    database = made.house.platform.database

    async def nothing_is_left() -> bool:
        async with database.session() as session:
            ends: dict[Any, int] = {row[0]: row[1] for row in await session.execute(ENDS)}
            waiting = (await session.execute(FAR)).one()
        return ends == {"COMPLETED": len(load.started)} and tuple(waiting) == (0, 0)

    try:
        await until(nothing_is_left, seconds=120)
    except TimeoutError:
        async with database.session() as session:
            left = [tuple(row) for row in await session.execute(ENDS)]
            left += [tuple(row) for row in await session.execute(FAR)]
        pytest.fail(f"{len(load.started)} were started: {left}{made.logs()}")
    assert len(set(load.started)) == len(load.started)
    token = await issue(made.house.platform, "auditor")
    async with Client(made.balancer.url, token, patience=10) as auditor:
        proof = (await auditor.execute("{ verifyAudit { ok problems { message } } }"))[
            "verifyAudit"
        ]
    assert proof["ok"], proof["problems"]


async def test_any_may_be_killed_and_all_replaced_under_load(
    installation: Replicas, service: Service
) -> None:
    made = installation
    two = await ordered(made)
    async with under_load(made, "sales/order") as load:
        await load.grow(6)
        # One of each ends in order while its successor starts: nobody notices.
        successors = [await made.start(role) for role in ROLES]
        codes = {role: await two[role][0].end() for role in ROLES}
        assert codes == dict.fromkeys(ROLES, 0), made.logs()
        assert made.balancer.failures() == {}
        assert set(service.keys.values()) <= {1}, "leaves have ended before their worker did"
        await until(lambda: somebody_seals(made))
        await made.ready(*successors)
        await load.grow(6)
        # The other one of each is killed: what it held goes on elsewhere.
        for role in ROLES:
            await two[role][1].end(signal.SIGKILL)
        await load.grow(6)
    await all_is_done(made, load)
    assert load.errors == []
    assert made.balancer.failures() == {}
    assert max(service.keys.values()) <= 2
    assert [each.role for each in made.all if not each.ended.done()] == list(ROLES)


@pytest.mark.more
@pytest.mark.timeout(600)
async def test_everything_is_replaced_again_and_again_with_the_workers_of_a_team(
    installation: Replicas, service: Service, tmp_path: Path
) -> None:
    made, house = installation, installation.house
    file = tmp_path / "content" / "flows" / "teams" / "warehouse" / "pick.py"
    file.parent.mkdir(parents=True)
    file.write_text(FLOW)
    await publish(house.platform, local("pick"), "warehouse-developer")
    both = HTTP.format(name="invoice") + CALL_LOCAL.format(name="pick", ref="pick")
    await publish(house.platform, central("both", both))
    await ordered(made)
    worker = await team_worker(made, tmp_path / "content", service)
    async with under_load(made, "sales/order", "sales/both") as load:
        await load.grow(4)
        for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGTERM):
            for role in ROLES:
                oldest = made.of(role)[0]
                successor = await made.start(role)
                await made.ready(successor)
                code = await oldest.end(number)
                assert code == (0 if number is signal.SIGTERM else -number), made.logs()
                await load.grow(4)
        async with house.platform.database.session() as session:
            cut = text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND application_name LIKE 'coe-%'"
            )
            await session.execute(cut)
        await load.grow(4)
    await all_is_done(made, load)
    assert load.errors == []
    assert {key for key in made.balancer.failures() if key[0] == "api"} <= {("api", 503)}
    assert max(service.keys.values()) <= 3
    assert worker.alive


async def team_worker(made: Replicas, flows: Path, service: Service) -> Process:
    """The worker of the warehouse, which reaches the platform by the balancer alone."""
    house = made.house
    house.port = made.balancer.port
    return await house.team("warehouse", flows, SERVICE_URL=service.url)
