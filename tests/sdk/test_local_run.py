"""Local runs through the SDK, the application and the database."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx
import pytest

from coe.errors import Unavailable
from coe.runs import actions
from coe.runs.local_runs import step_key
from coe.sdk import Client, Fault, LocalRunFailed, RunNotOurs, local_run
from coe.sdk.local_run import EXECUTION, held_run
from coe.settings import Settings
from coe.work import Platform
from tests.factories.local_team import Team, warehouse_team
from tests.factories.people import WAREHOUSE_DEVELOPER
from tests.factories.prefect import issue
from tests.factories.runs import CANARY, column, lapse


@pytest.fixture
async def team(settings: Settings, platform: Platform) -> AsyncIterator[Team]:
    async with warehouse_team(settings, platform) as made:
        yield made


async def give(value: Any) -> Any:
    return value


async def test_a_run_gets_its_input_and_gives_its_output(team: Team) -> None:
    async with local_run(team.id, client=team.client) as run:
        assert run.input == {"order": CANARY}
        packed = await run.step("pack", lambda: give({"parcel": 1}))
        run.output = packed
    assert (await team.now()).state == "COMPLETED"
    assert (await team.data()).output == {"parcel": 1}
    assert await team.steps() == {"pack": "COMPLETED"}


async def test_a_completed_step_is_handed_back_and_not_run_again(team: Team) -> None:
    calls = []

    async def reserve() -> str:
        calls.append(1)
        return "R-1"

    async def first() -> None:
        async with local_run(team.id, client=team.client) as run:
            await run.step("reserve", reserve)
            await asyncio.sleep(30)

    worker = asyncio.create_task(first())
    async with asyncio.timeout(10):
        while await team.steps() != {"reserve": "COMPLETED"}:
            await asyncio.sleep(0.02)
    worker.cancel()
    await asyncio.gather(worker, return_exceptions=True)
    assert (await team.now()).state == "RUNNING"
    await lapse(team.platform)
    async with local_run(team.id, client=team.client) as run:
        assert run.key("reserve") == step_key(UUID(team.id), "reserve")
        assert await run.step("reserve", reserve) == "R-1"
        run.output = {"parcel": 1}
    assert len(calls) == 1
    assert (await team.now()).state == "COMPLETED"


async def test_an_exception_is_the_runs_error_and_leaves_only_an_id(
    team: Team,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fail() -> None:
        raise ValueError(CANARY)

    with caplog.at_level(logging.DEBUG), pytest.raises(LocalRunFailed) as caught:
        async with local_run(team.id, client=team.client) as run:
            await run.step("reserve", fail)
    assert CANARY not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert CANARY not in caplog.text
    assert (await team.now()).state == "FAULTED"
    error = (await team.data()).error
    assert error is not None
    assert error.detail == f"ValueError: {CANARY}"
    assert await team.steps() == {"reserve": "FAULTED"}


async def test_a_fault_has_the_type_that_the_team_gave_it(team: Team) -> None:
    with pytest.raises(LocalRunFailed):
        async with local_run(team.id, client=team.client):
            raise Fault("https://acme.example/out-of-stock", status=409, title="Out of stock")
    error = (await team.now()).error
    assert error is not None
    assert (error.type, error.status) == ("https://acme.example/out-of-stock", 409)


async def test_a_system_that_answers_with_an_error_is_a_communication_error(team: Team) -> None:
    answer = httpx.MockTransport(lambda _: httpx.Response(503))
    with pytest.raises(LocalRunFailed):
        async with (
            local_run(team.id, client=team.client),
            httpx.AsyncClient(transport=answer) as wms,
        ):
            (await wms.get("http://wms/stock")).raise_for_status()
    error = (await team.now()).error
    assert error is not None
    assert error.type.endswith("/communication")
    assert error.status == 503


async def test_an_output_that_is_no_json_faults_the_run(team: Team) -> None:
    with pytest.raises(LocalRunFailed):
        async with local_run(team.id, client=team.client) as run:
            run.output = {"parcel": object()}
    assert (await team.now()).state == "FAULTED"


async def test_an_output_that_does_not_fit_the_schema_faults_the_run(team: Team) -> None:
    async with local_run(team.id, client=team.client) as run:
        run.output = {"other": 1}
    now = await team.now()
    assert now.state == "FAULTED"
    assert now.error is not None
    assert now.error.type.endswith("/validation")


async def test_a_run_that_another_worker_has_is_left_alone(team: Team) -> None:
    async with local_run(team.id, client=team.client) as run:
        with pytest.raises(RunNotOurs):
            async with local_run(team.id, client=team.client):
                raise AssertionError("it must not be entered")
        run.output = {"parcel": 1}
    with pytest.raises(RunNotOurs):
        async with local_run(team.id, client=team.client):
            raise AssertionError("it has ended")


async def test_a_run_that_is_cancelled_stops_the_block(team: Team) -> None:
    started, stopped = asyncio.Event(), asyncio.Event()

    async def carry_out() -> None:
        async with local_run(team.id, client=team.client):
            started.set()
            try:
                await asyncio.sleep(30)
            finally:
                stopped.set()

    worker = asyncio.create_task(carry_out())
    await started.wait()
    async with team.platform.work(WAREHOUSE_DEVELOPER) as work:
        await actions.cancel_run(work, UUID(team.id), reason="no longer wanted")
    with pytest.raises(RunNotOurs):
        await worker
    assert stopped.is_set()
    assert (await team.now()).state == "CANCELLED"


async def test_heartbeats_keep_the_run(team: Team) -> None:
    async with local_run(team.id, client=team.client) as run:
        before = await _lease(team)
        async with asyncio.timeout(20):
            while await _lease(team) <= before:
                await asyncio.sleep(0.05)
        run.output = {"parcel": 1}


async def test_another_teams_run_is_not_there(team: Team, platform: Platform) -> None:
    token = await issue(platform, "service:worker/finance")
    transport = team.client._http._transport
    async with Client("http://127.0.0.1:8700", token, transport=transport) as finance:
        with pytest.raises(Exception, match="does not exist"):
            async with local_run(team.id, client=finance):
                raise AssertionError("it must not be entered")


async def test_without_the_platform_nothing_begins() -> None:
    async with Client("http://127.0.0.1:1", "coe_x") as nowhere:
        with pytest.raises(Unavailable):
            async with local_run("018f0000-0000-7000-8000-000000000000", client=nowhere):
                raise AssertionError("it must not be entered")


async def _lease(team: Team) -> Any:
    return await column(team.platform, team.run.id, "lease_until")


async def test_a_worker_that_is_stopped_gives_its_run_up(team: Team) -> None:
    started = asyncio.Event()

    async def carry_out() -> None:
        async with local_run(team.id, client=team.client):
            started.set()
            await asyncio.sleep(30)

    worker = asyncio.create_task(carry_out())
    await started.wait()
    worker.cancel()
    with pytest.raises(asyncio.CancelledError):
        await worker
    assert await column(team.platform, team.run.id, "holder") is None
    async with local_run(team.id, client=team.client) as run:
        run.output = {"parcel": 1}
    assert (await team.now()).state == "COMPLETED"


async def test_a_lost_answer_to_a_claim_does_not_lose_the_run(team: Team) -> None:
    lost: list[str] = []

    async def loses_one(query: str, variables: Any) -> dict[str, Any]:
        answer = await execute(query, variables)
        if "claimRun" in query and not lost:
            lost.append(query)
            raise Unavailable
        return answer

    execute = team.client._execute
    team.client._execute = loses_one  # type: ignore[method-assign]
    team.client._patience = 5.0
    async with local_run(team.id, client=team.client) as run:
        run.output = {"parcel": 1}
    assert lost
    assert (await team.now()).state == "COMPLETED"


async def test_an_error_with_texts_that_are_no_text_is_reported_all_the_same(team: Team) -> None:
    with pytest.raises(LocalRunFailed):
        async with local_run(team.id, client=team.client):
            raise ValueError("\ud800")
    assert (await team.now()).state == "FAULTED"


async def test_within_one_execution_a_run_is_claimed_with_one_token(team: Team) -> None:
    EXECUTION.set({})
    async with held_run(team.id, client=team.client) as held:
        assert held.input == {"order": CANARY}
    async with local_run(team.id, client=team.client) as run:
        run.output = {"parcel": 1}
    now = await team.now()
    assert (now.state, now.attempt) == ("COMPLETED", 1)
