"""A process with hardly any connections, and a real pooler with few: nobody waits for a second."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from coe.demo.api import create_demo_app
from coe.human_tasks import actions as human_tasks
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
    platform = Platform.open(few, name="few", pool_size=20)
    leaves = Leaves({"book": {"booked": True}, "credit": {"ok": True}})
    flow = HTTP.format(name="credit") + APPROVAL + HTTP.format(name="book")
    await publish(platform, central("asks", flow))
    async with engine(platform, leaves), asyncio.timeout(60):
        runs = await asyncio.gather(*(start(platform, "sales/asks") for _ in range(RUNS)))
        await asyncio.gather(*(_answer(platform, run.id) for run in runs))
        ended = await asyncio.gather(
            *(until(platform, run.id, "COMPLETED", "FAULTED", seconds=60) for run in runs)
        )
    await platform.close()
    assert [run.state for run in ended] == ["COMPLETED"] * RUNS
    assert leaves.calls == {"credit": RUNS, "book": RUNS}


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
