"""A team's worker: the platform's own SDK over a simulated network to a simulated API."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError

from coe.errors import NotFound, Unavailable
from coe.machine.commands import StepState
from coe.runs import local_runs
from coe.sdk.client import Client
from coe.sdk.local_run import Fault, local_run
from tests.factories.people import WAREHOUSE_WORKER

if TYPE_CHECKING:
    from tests.simulation.nodes import Node


class SimulatedClient(Client):
    """The SDK's client, whose requests go to the verbs of some simulated process."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._patience = 600.0

    async def _execute(self, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        node, world = self._node, self._node.world
        loss = world.faults.loss()
        try:
            await node.request("api")
        except OSError:
            raise Unavailable from None
        api = world.some_node()
        if api is None or node.dice.random() < loss:
            raise Unavailable
        try:
            async with asyncio.timeout(30):
                answer = await api.spawn(_verb(api, query, dict(variables["input"])), "api")
            if node.dice.random() < loss:  # the request came twice, the second after the answer
                await api.spawn(_quietly(api, query, dict(variables["input"])), "api")
            await node.response("api")
        except (TimeoutError, OSError, SQLAlchemyError):
            raise Unavailable from None
        if node.dice.random() < loss:
            raise Unavailable
        return answer


async def _quietly(api: Node, query: str, given: dict[str, Any]) -> None:
    try:
        await _verb(api, query, given)
    except Exception as error:  # noqa: BLE001  # nobody waits for this answer
        api.world.note(f"a doubled request was answered: {error!r}")


async def _verb(api: Node, query: str, given: dict[str, Any]) -> dict[str, Any]:
    run_id = UUID(given.pop("run"))
    platform = api.platform
    async with platform.work(WAREHOUSE_WORKER) as work:
        if "claimRun" in query:
            claim = await local_runs.claim_run(work, run_id, **_token(given))
            claim_json = {
                "attempt": claim.attempt,
                "input": claim.input,
                "done": claim.done,
                "heartbeatEvery": f"PT{claim.heartbeat_seconds}S",
            }
            return {"claimRun": {"claim": claim_json, "problems": []}}
        if "heartbeatRun" in query:
            await local_runs.heartbeat_run(work, run_id, **given)
            return {"heartbeatRun": {"run": {}}}
        if "reportStep" in query:
            given["state"] = StepState(given["state"])
            await local_runs.report_step(work, run_id, **given)
            return {"reportStep": {"problems": []}}
        if "reportRun" in query:
            await local_runs.report_run(work, run_id, **given)
            return {"reportRun": {"problems": []}}
        if "releaseRun" in query:
            await local_runs.release_run(work, run_id, **given)
            return {"releaseRun": {"run": {}}}
    raise NotFound(query)


def _token(given: dict[str, Any]) -> dict[str, Any]:
    return {"token": given["token"]} if "token" in given else {}


async def carry_local(node: Node, run_id: UUID) -> None:
    """A team's flow: two steps at a system of the team; it may fail a few times."""
    world = node.world
    async with local_run(str(run_id), client=SimulatedClient(node)) as run:
        value = run.input
        for name in ("pick", "pack"):

            async def call(name: str = name, value: Any = value) -> Any:
                given = await world.external.call(node, run.key(name), name, value, 1, local=True)
                if "fault" in given:
                    raise Fault("communication", status=503, title="the team's system is down")
                return given

            value = await run.step(name, call)
        run.output = value
