"""A simulated Prefect server and its workers, behind the platform's own `PrefectEngine`.

The server keeps flow runs and their states by Prefect's rules: a suspended run is resumed, one that
is scheduled cannot be suspended, what a dead worker ran stays Running for ever. Calls and answers
get lost, runs are handed out twice, the server goes away and may forget.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from coe.errors import Conflict, NotFound, Unavailable
from coe.execution.advance import Finished, LostLease, Parked, advance
from coe.runs.models import RunState
from coe.sdk.local_run import LocalRunFailed, RunNotOurs
from tests.simulation.local_flows import carry_local

if TYPE_CHECKING:
    from tests.simulation.nodes import Node
    from tests.simulation.world import World

TWICE = 0.004
"""How likely a worker, each time it asks, is given a run that another is carrying out."""
FINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


class PrefectServer:
    """The server: deployments, flow runs, their states."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.runs: dict[str, dict[str, Any]] = {}
        self.by_key: dict[str, str] = {}
        self.deployments: dict[str, str] = {}
        self.down_until = 0.0
        self.executions = 0
        self._numbers = 0
        self.orphans: list[str] = []

    def door(self, node: Node) -> Door:
        """The client of a process."""
        return Door(self, node)

    # ------------------------------------------------------------------ its API

    def call(self, method: str, path: str, body: Any) -> Any:  # noqa: PLR0911  # one a route
        """One request.

        Raises:
            NotFound: There is no such thing.
        """
        parts = [part for part in path.split("/") if part]
        match method, parts:
            case "get", ["flow_runs", ident]:
                return self._found(ident)
            case "post", ["flow_runs", ident, "set_state"]:
                return self.set_state(ident, body["state"], force=body.get("force", False))
            case "post", ["deployments", deployment, "create_flow_run"]:
                return self._create(deployment, body)
            case "post", ["flow_runs", "filter"]:
                return self._filtered(body)
            case "get", ["deployments", "name", flow, name]:
                if f"{flow}/{name}" not in self.deployments:
                    raise NotFound
                return {"id": self.deployments[f"{flow}/{name}"]}
            case "post", ["deployments"]:
                key = f"{body['flow_id']}/{body['name']}"
                return {
                    "id": self.deployments.setdefault(
                        key, f"{body['work_pool_name']}:{key}".replace("/", "_")
                    )
                }
            case "post", ["flows"]:
                return {"id": body["name"]}
            case _:
                return {}

    def _found(self, ident: str) -> dict[str, Any]:
        if ident not in self.runs:
            raise NotFound
        run = self.runs[ident]
        return {"id": ident, "state": dict(run["state"])}

    def _filtered(self, body: Any) -> list[dict[str, Any]]:
        """The flow runs of the sweep: of some types of state, and due before a time."""
        kinds = body["flow_runs"]["state"]["type"]["any_"]
        before = datetime.fromisoformat(body["flow_runs"]["expected_start_time"]["before_"])
        found = [
            {"id": ident, "parameters": {"run_id": str(run["run"])}}
            for ident, run in self.runs.items()
            if run["state"]["type"] in kinds and run["due"] < before
        ]
        return found[body["offset"] :][: body["limit"]]

    def _create(self, deployment: str, body: Any) -> dict[str, Any]:
        key = body["idempotency_key"]
        if deployment not in self.deployments.values():
            raise NotFound
        known = self.by_key.get(key)
        if known is None:
            self._numbers += 1
            known = self.by_key[key] = f"flow-run-{self._numbers}"
            self.runs[known] = {
                "run": UUID(body["parameters"]["run_id"]),
                "pool": deployment.partition(":")[0],
                "key": key,
                "due": self.world.clock(),
                "state": self._state("SCHEDULED", "Scheduled"),
            }
        return {"id": known}

    def _state(self, kind: str, name: str, *, after: float = 0.0) -> dict[str, Any]:
        now = self.world.clock()
        due = (now + timedelta(seconds=after)).isoformat()
        return {
            "type": kind,
            "name": name,
            "timestamp": now.isoformat(),
            "state_details": {"scheduled_time": due if kind == "SCHEDULED" else None},
        }

    def set_state(self, ident: str, state: Any, *, force: bool = False, after: float = 0.0) -> Any:
        """Give a flow run a state, if Prefect's rules let it."""
        if ident not in self.runs:
            raise NotFound
        run = self.runs[ident]
        before, kind = run["state"]["type"], state["type"]
        refused = not force and (
            (kind == "PAUSED" and before == "SCHEDULED")
            or (kind == "SCHEDULED" and before == "CANCELLING")
            or (before in FINAL and kind != "SCHEDULED")
        )
        if refused:
            return {"status": "REJECT", "state": run["state"]}
        run["state"] = self._state(kind, state.get("name", kind.title()), after=after)
        return {"status": "ACCEPT", "state": run["state"]}

    def forget(self) -> None:
        """Lose every flow run, as a server that was set up anew."""
        self.world.note("the engine forgets everything")
        self.runs.clear()
        self.by_key.clear()

    # ------------------------------------------------------------------ its workers

    def _due(self, node: Node) -> list[str]:
        now = self.world.clock()
        due = []
        for ident, run in self.runs.items():
            state = run["state"]
            if state["type"] == "SCHEDULED":
                if datetime.fromisoformat(state["state_details"]["scheduled_time"]) <= now:
                    due.append(ident)
            elif state["type"] in {"PENDING", "RUNNING"} and node.dice.random() < TWICE:
                due.append(ident)
        return due

    async def work(self, node: Node) -> None:
        """A worker's loop in a process: take what is due, run it."""
        while node.alive and not node.stopping:
            await asyncio.sleep(node.dice.uniform(0.2, 0.8))
            try:
                await node.request("poll")
                if self.down_until > self.world.loop.time():
                    continue
                due = self._due(node)[:5]
                for ident in due:
                    if node.dice.random() < 0.97:  # seldom handed out twice
                        self.set_state(ident, {"type": "PENDING"}, force=True)
                if due:
                    await node.response("poll")
            except OSError:
                continue
            for ident in due:
                self._begin(node, ident)

    def _begin(self, node: Node, ident: str) -> None:
        earlier = node.executions.get(ident)

        async def execute() -> None:
            if earlier is not None:
                await asyncio.wait({earlier})
            await self._execute(node, ident)

        task = node.spawn(execute(), ident)
        node.executions[ident] = task

        def forget(done: asyncio.Task[None]) -> None:
            if node.executions.get(ident) is done:
                del node.executions[ident]

        task.add_done_callback(forget)

    async def _execute(self, node: Node, ident: str) -> None:
        """What `coe.engines.central_flow` and its executor do with a flow run."""
        run = self.runs.get(ident)
        if run is None:
            return
        self.executions += 1
        try:
            await self._report(node, ident, "RUNNING")
            if run["pool"] == "central":
                await self._central(node, ident, run["run"])
            else:
                await self._local(node, ident, run["run"])
        except NotFound:
            return
        except asyncio.CancelledError:
            if self.world.over or not node.alive:
                raise
            await self._report(node, ident, "SCHEDULED", name="AwaitingRetry")
        except (OSError, Unavailable):
            node.spawn(self._later(node, ident), "report")

    async def _central(self, node: Node, ident: str, run_id: UUID) -> None:
        assert node.runtime is not None  # it was started
        try:
            outcome = await advance(node.runtime, run_id)
        except Exception as error:  # noqa: BLE001  # as the flow does
            self.world.note(f"{node.name} lets run {run_id} go: {error!r}")
            await self._report(node, ident, "SCHEDULED", name="AwaitingRetry", after=3)
            return
        self.world.note(f"{node.name} {type(outcome).__name__} {run_id}")
        match outcome:
            case Parked():
                await self._report(node, ident, "PAUSED", name="Suspended")
            case LostLease():
                return
            case Finished(state=RunState.FAULTED):
                await self._report(node, ident, "FAILED")
            case Finished(state=RunState.CANCELLED):
                await self._report(node, ident, "CANCELLED")
            case Finished():
                await self._report(node, ident, "COMPLETED")

    async def _local(self, node: Node, ident: str, run_id: UUID) -> None:
        try:
            await carry_local(node, run_id)
        except RunNotOurs:
            return
        except LocalRunFailed:
            await self._report(node, ident, "FAILED")
        else:
            await self._report(node, ident, "COMPLETED")

    async def _report(
        self, node: Node, ident: str, kind: str, *, name: str | None = None, after: float = 0.0
    ) -> None:
        await node.request("report")
        if self.down_until > self.world.loop.time():
            raise Unavailable
        state = {"type": kind, "name": name or kind.title()}
        self.set_state(ident, state, after=after)
        await node.response("report")

    async def _later(self, node: Node, ident: str) -> None:
        while node.alive:
            await asyncio.sleep(2)
            try:
                await self._report(node, ident, "SCHEDULED", name="AwaitingRetry")
            except NotFound:
                return
            except (OSError, Unavailable):
                continue
            return


class Door:
    """What `PrefectHTTP` is to the engine, over a link that loses things."""

    pages_url = "http://prefect.example"

    def __init__(self, server: PrefectServer, node: Node) -> None:
        self._server, self._node = server, node

    async def get(self, path: str) -> Any:
        return await self._call("get", path, None)

    async def post(self, path: str, body: Any) -> Any:
        return await self._call("post", path, body)

    async def healthy(self) -> bool:
        return self._server.down_until <= self._server.world.loop.time()

    async def close(self) -> None: ...

    async def _call(self, method: str, path: str, body: Any) -> Any:
        node, world = self._node, self._server.world
        loss = world.faults.loss()
        try:
            await node.request("engine")
            if self._server.down_until > world.loop.time() or node.dice.random() < loss:
                raise Unavailable
            answer = self._server.call(method, path, body)
            if node.dice.random() < loss:
                self._server.call(method, path, body)  # the request came twice
            await node.response("engine")
        except OSError:
            raise Unavailable from None
        if node.dice.random() < loss:
            raise Unavailable
        return answer


__all__ = ["Conflict", "Door", "PrefectServer"]
