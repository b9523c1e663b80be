"""A process with hardly any connections, and a real pooler with few: nobody waits for a second."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from sqlalchemy import text

from coe.demo.api import create_demo_app
from coe.human_tasks import actions as human_tasks
from coe.installation.status import Health, installation_status
from coe.settings import Settings
from coe.work import Platform
from tests.factories.api import Api
from tests.factories.people import FINANCE_APPROVER
from tests.factories.pgbouncer import pgbouncer
from tests.factories.runs import (
    APPROVAL,
    HTTP,
    Leaves,
    central,
    engine,
    open_task,
    publish,
    start,
    until,
)
from tests.factories.settings import ONE_CONNECTION

RUNS = 20
FEW = 6
"""Without a pooler, where one connection makes the same circle."""


@pytest.fixture(params=["one", pytest.param("pooler", marks=pytest.mark.more)])
async def few(request: pytest.FixtureRequest, settings: Settings) -> AsyncIterator[Settings]:
    """Settings with one connection of each kind; or with a PgBouncer that has five for all."""
    if request.param == "one":
        yield settings.model_copy(update=ONE_CONNECTION)
        return
    async with pgbouncer(settings.database_url, size=5) as url:
        pooled = {"database_url": url, "database_direct_url": settings.database_url}
        yield settings.model_copy(update=pooled | {"database_pooler": "transaction"})


async def test_many_runs_at_once_end(few: Settings) -> None:
    number = RUNS if few.pooled else FEW
    platform = Platform.open(few, name="few", pool_size=20)
    leaves = Leaves({"book": {"booked": True}, "credit": {"ok": True}})
    flow = HTTP.format(name="credit") + APPROVAL + HTTP.format(name="book")
    await publish(platform, central("asks", flow))
    async with engine(platform, leaves), asyncio.timeout(60):
        runs = await asyncio.gather(*(start(platform, "sales/asks") for _ in range(number)))
        await asyncio.gather(*(_answer(platform, run.id) for run in runs))
        ended = await asyncio.gather(
            *(until(platform, run.id, "COMPLETED", "FAULTED", seconds=60) for run in runs)
        )
    await platform.close()
    assert [run.state for run in ended] == ["COMPLETED"] * number
    assert leaves.calls == {"credit": number, "book": number}


async def _answer(platform: Platform, run_id: UUID) -> None:
    task = await open_task(platform, run_id, seconds=60)
    async with platform.work(FINANCE_APPROVER) as work:
        await human_tasks.claim_task(work, task)
    async with platform.work(FINANCE_APPROVER) as work:
        await human_tasks.complete_task(
            work, task, outcome="approved", answer={"limit": 5}, reason="good customer"
        )


async def test_many_requests_at_once_are_answered(few: Settings) -> None:
    app = create_demo_app(few)
    query = "{ catalog(first: 5) { nodes { id summary } totalCount } teams { slug } }"
    async with app.router.lifespan_context(app):
        persona = Api(app).persona("sales-owner")
        answers = await asyncio.gather(*(persona.ask(query) for _ in range(RUNS)))
    assert len(answers) == RUNS


@pytest.mark.more
async def test_nothing_is_left_on_the_servers_of_a_pooler(settings: Settings) -> None:
    async with pgbouncer(settings.database_url, size=2) as url:
        pooled = {"database_url": url, "database_direct_url": settings.database_url}
        few = settings.model_copy(update=pooled | {"database_pooler": "transaction"})
        platform = Platform.open(few, name="few")
        await publish(platform, central("simple", HTTP.format(name="credit")))
        async with platform.database.session() as session:
            left = await session.scalar(text("SELECT count(*) FROM pg_prepared_statements"))
        await platform.close()
        found = {each.part: each for each in await installation_status(few)}
    assert left == 0
    assert found["pooler"].health is Health.WARNING
    assert found["database"].health is Health.OK
