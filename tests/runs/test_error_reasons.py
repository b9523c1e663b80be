"""Everyone who may read a run sees why it faulted; no data is in that sentence."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from coe.access.actor import Actor
from coe.json_types import JSON
from coe.language.error_types import BASE, STATUSES
from coe.runs import actions, local_runs
from coe.runs.data_readers import readers_of_runs
from coe.runs.error_reasons import public_title, reason_of
from coe.runs.queries import run as read_run
from coe.runs.tables import RUNS
from coe.work import Platform
from tests.factories.people import OUTSIDER, WAREHOUSE_DEVELOPER, WAREHOUSE_WORKER, WEB_SHOP
from tests.factories.runs import CANARY, local, publish


@pytest.mark.parametrize("name", STATUSES)
def test_a_standard_type_has_a_sentence(name: str) -> None:
    sentence = reason_of(BASE + name, STATUSES[name], None)
    assert sentence.endswith(".")
    assert "type that stands here" not in sentence


def test_the_status_of_a_system_is_told() -> None:
    assert "(503 Service Unavailable)" in reason_of(BASE + "communication", 503, None)
    assert "(599)" in reason_of(BASE + "communication", 599, None)
    assert "type that stands here" in reason_of("https://acme.example/out", 409, None)


def test_the_title_of_anybody_else_stays_sealed() -> None:
    assert public_title(CANARY) is None
    assert public_title(f"Expression failed for {CANARY}") is None
    assert public_title(None) is None


async def test_a_developer_who_may_not_read_data_sees_why_and_whom_to_ask(
    platform: Platform,
) -> None:
    await publish(platform, local("pack"), "warehouse-developer")
    async with platform.work(Actor.of("warehouse-lead")) as work:
        run_id = (await actions.start_run(work, flow="warehouse/pack", input={"order": 7})).id
    async with platform.work(WAREHOUSE_WORKER) as work:
        attempt = (await local_runs.claim_run(work, run_id)).attempt
    title = "A system of the team cannot be reached"
    error: dict[str, JSON] = {"type": BASE + "communication", "status": 503, "title": title}
    async with platform.work(WAREHOUSE_WORKER) as work:
        await local_runs.report_run(work, run_id, attempt=attempt, error=error)
    async with platform.read(WAREHOUSE_DEVELOPER) as read:
        run = await read_run(read, run_id)
        readers = (await readers_of_runs(read, [run_id]))[run_id]
    assert run is not None
    assert run.error is not None
    assert run.error.title is None
    assert run.error.reason == f"{title} (503 Service Unavailable)."
    assert [(each.subject, each.via) for each in readers] == [
        ("warehouse-developer", "relation:owner"),
        ("warehouse-lead", "warehouse/process-owner"),
    ]
    async with platform.read(OUTSIDER) as read:
        assert await readers_of_runs(read, [run_id]) == {}
    async with platform.database.session() as session:
        await session.execute(update(RUNS).values(requester=WEB_SHOP.subject))
        await session.commit()
    async with platform.read(WEB_SHOP) as read:
        assert await read_run(read, run_id) is not None
        assert await readers_of_runs(read, [run_id]) == {}, "it may not know who is in the team"
