"""The engine "prefect" as the platform uses it: the engine port over Prefect's HTTP API.

A process run has one Prefect flow run for its whole life, whose only parameter is our run id. It
waits in Prefect's state `Suspended` and goes on when it is set to `Scheduled` again. A run whose
worker died stays `Running` in Prefect for ever, and is scheduled again in the same way: of two
executions, the one that holds the lease of the run goes on.

This module does not import Prefect: the process of the API uses it.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from coe.engines.prefect_http import PrefectHTTP, segment
from coe.errors import Conflict, NotFound
from coe.execution.engine import EngineHealth, EngineRun, LocalFlowRef, RunRef, StartedRun
from coe.formats import instants, uuids
from coe.runs.models import RunState
from coe.settings import Settings

WORKER_TYPE: Final = "coe"
CENTRAL_FLOW: Final = "process-run"
CENTRAL_DEPLOYMENT: Final = "central"
CENTRAL_ENTRYPOINT: Final = "coe.engines.central_flow:process_run"
STALE_PENDING: Final = timedelta(seconds=6)
"""A run that has been claimed (`Pending`) for longer has lost its worker."""
SOON: Final = timedelta(seconds=1)
PAGE: Final = 200
MAX_SWEPT: Final = 5_000
"""Flow runs that are looked at in one sweep: more than all workers of an installation carry out."""

JOB_TEMPLATE: Final[dict[str, Any]] = {
    "job_configuration": {"name": "{{ name }}"},
    "variables": {"type": "object", "properties": {"name": {"type": "string"}}},
}
"""For our work pools: the flows run inside the worker, so there is nothing to configure."""

PARAMETERS: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {"run_id": {"type": "string", "format": "uuid"}},
    "required": ["run_id"],
    "additionalProperties": False,
}
"""The JSON Schema of every deployment's parameters: the run id alone."""


def team_pool(team: str) -> str:
    """The name of a team's own work pool."""
    return f"team-{team}"


def local_flow_name(flow: str) -> str:
    """The name of a local flow in Prefect, where names of flows have no slash."""
    return flow.partition("@")[0].replace("/", ".")


class PrefectEngine:
    """The engine port over a Prefect server. It remembers ids of deployments, nothing else."""

    name = "prefect"

    def __init__(self, http: PrefectHTTP, *, central_pool: str) -> None:
        self._http = http
        self._central_pool = central_pool
        self._deployments: dict[tuple[str, str], str] = {}
        self._central_lock = asyncio.Lock()

    @classmethod
    def open(cls, settings: Settings) -> PrefectEngine:
        """Make the engine of an installation; nothing connects yet.

        Raises:
            ValueError: `COE_PREFECT_URL` is not set.
        """
        return cls(PrefectHTTP.open(settings), central_pool=settings.central_pool)

    async def request(self, run: RunRef) -> EngineRun:
        """Create the flow run of this run and attempt, or return the existing one."""
        key = await self._deployment_of(run)
        try:
            created = await self._create(key, run)
        except NotFound:
            self._deployments.pop(key, None)
            await self._deployment_of(run)
            created = await self._create(key, run)
        return self._engine_run(created["id"])

    async def wake(self, run: RunRef) -> EngineRun:
        """Have the run executed again, unless it will be soon; create it if Prefect lost it."""
        if run.engine_run_id is None:
            return await self.request(run)
        try:
            found = await self._http.get(f"/flow_runs/{segment(run.engine_run_id)}")
        except NotFound:
            return await self.request(run)
        if not _starts_soon(found["state"], datetime.now(UTC)):
            await self._schedule(run.engine_run_id, found["state"])
        return self._engine_run(run.engine_run_id)

    async def cancel(self, run: RunRef) -> None:
        """Mark the flow run as cancelled; its execution stops through our inbox and lease."""
        if run.engine_run_id is None:
            return
        path = f"/flow_runs/{segment(run.engine_run_id)}"
        try:
            found = await self._http.get(path)
            if not _is_final(found["state"]):
                body = {"state": {"type": "CANCELLED", "name": "Cancelled"}, "force": True}
                await self._http.post(f"{path}/set_state", body)
        except NotFound:
            return

    async def prepare(self, team: str) -> None:
        """Create the team's pool."""
        await self.ensure_pool(team_pool(team))

    async def deploy(self, flow: LocalFlowRef) -> None:
        """Create the team's pool, and a deployment for this version of its flow."""
        name, version = local_flow_name(flow.flow), flow.version
        pool = team_pool(flow.team)
        self._deployments[(name, version)] = await self._deploy(
            name,
            version,
            pool,
            flow.entrypoint,
        )

    async def started_runs(self, *, older_than: timedelta) -> list[StartedRun]:
        """The flow runs of ours in Prefect that a worker has claimed and not ended."""
        wanted = {
            "tags": {"all_": ["coe"]},
            "state": {"type": {"any_": ["PENDING", "RUNNING", "CANCELLING"]}},
            "expected_start_time": {"before_": instants.write(datetime.now(UTC) - older_than)},
        }
        found: list[StartedRun] = []
        for offset in range(0, MAX_SWEPT, PAGE):
            body = {
                "flow_runs": wanted,
                "sort": "EXPECTED_START_TIME_ASC",
                "limit": PAGE,
                "offset": offset,
            }
            page = await self._http.post("/flow_runs/filter", body)
            found += [StartedRun(each["id"], run_id) for each in page if (run_id := _run_of(each))]
            if len(page) < PAGE:
                break
        return found

    async def settle(self, started: StartedRun, state: RunState | None) -> None:
        """Give the flow run the state in which the run ended; `CRASHED` if it runs elsewhere."""
        path = f"/flow_runs/{segment(started.id)}"
        kind = _SETTLED.get(state, "CRASHED")
        try:
            found = await self._http.get(path)
            if not _is_final(found["state"]):
                body = {"state": {"type": kind, "name": kind.title()}, "force": True}
                await self._http.post(f"{path}/set_state", body)
        except NotFound:
            return

    async def health(self) -> EngineHealth:
        """Whether the server answers."""
        if await self._http.healthy():
            return EngineHealth(self.name, ready=True, detail="Prefect answers")
        return EngineHealth(self.name, ready=False, detail="Prefect does not answer; runs wait")

    async def central_workers(self) -> dict[str, str]:
        """The central workers that ask for runs now: when each was last heard of, by its name."""
        path = f"/work_pools/{segment(self._central_pool)}/workers/filter"
        try:
            found = await self._http.post(path, {"limit": PAGE})
        except NotFound:
            return {}  # no worker has made the pool yet
        return {
            each["name"]: str(each["last_heartbeat_time"])
            for each in found
            if each["status"] == "ONLINE"
        }

    async def close(self) -> None:
        """Close the connections; runs go on."""
        await self._http.close()

    async def ensure_central(self) -> None:
        """Create the central pool and deployment, unless known to exist."""
        await self._central()

    async def ensure_pool(self, name: str) -> None:
        """Create a work pool of our worker type, if it does not exist."""
        try:
            await self._http.get(f"/work_pools/{segment(name)}")
        except NotFound:
            body = {"name": name, "type": WORKER_TYPE, "base_job_template": JOB_TEMPLATE}
            try:
                await self._http.post("/work_pools/", body)
            except Conflict:
                return  # another process was first

    async def _deployment_of(self, run: RunRef) -> tuple[str, str]:
        """The name of the run's deployment; afterwards its id is remembered.

        Raises:
            NotFound: The version of a local flow has not been deployed (yet).
        """
        if not run.local:
            return await self._central()
        name, _, version = run.flow.partition("@")
        key = (local_flow_name(name), version)
        if key not in self._deployments:
            flow, deployment = (segment(part) for part in key)
            found = await self._http.get(f"/deployments/name/{flow}/{deployment}")
            self._deployments[key] = found["id"]
        return key

    async def _central(self) -> tuple[str, str]:
        key = (CENTRAL_FLOW, CENTRAL_DEPLOYMENT)
        async with self._central_lock:
            if key not in self._deployments:
                self._deployments[key] = await self._deploy(
                    *key,
                    self._central_pool,
                    CENTRAL_ENTRYPOINT,
                )
        return key

    async def _deploy(self, flow: str, deployment: str, pool: str, entrypoint: str) -> str:
        await self.ensure_pool(pool)
        made = await self._http.post("/flows/", {"name": flow})
        body = {
            "name": deployment,
            "flow_id": made["id"],
            "work_pool_name": pool,
            "entrypoint": entrypoint,
            "tags": ["coe"],
            "enforce_parameter_schema": True,
            "parameter_openapi_schema": PARAMETERS,
        }
        deployed = await self._http.post("/deployments/", body)
        identifier: str = deployed["id"]
        return identifier

    async def _create(self, key: tuple[str, str], run: RunRef) -> Any:
        body: dict[str, Any] = {
            "name": f"{run.flow} {run.id.hex[-8:]}",
            "parameters": {"run_id": str(run.id)},
            "idempotency_key": run.idempotency_key,
            "tags": ["coe", f"run:{run.id}"],
        }
        if run.trace_id:
            body["labels"] = {"__OTEL_TRACEPARENT": f"00-{run.trace_id}-{run.id.hex[-16:]}-01"}
        return await self._http.post(f"/deployments/{self._deployments[key]}/create_flow_run", body)

    async def _schedule(self, flow_run_id: str, state: Any) -> None:
        """Set the flow run to be executed now, even from a final state."""
        name = "Resuming" if state and state["type"] == "PAUSED" else "AwaitingRetry"
        body = {
            "state": {"type": "SCHEDULED", "name": name},
            "force": bool(state and state["type"] == "CANCELLING"),
        }
        answer = await self._http.post(f"/flow_runs/{segment(flow_run_id)}/set_state", body)
        if answer["status"] not in {"ACCEPT", "REJECT"}:
            raise Conflict(f"Prefect does not let flow run {flow_run_id} go on: {answer['status']}")

    def _engine_run(self, flow_run_id: str) -> EngineRun:
        return EngineRun(flow_run_id, f"{self._http.pages_url}/runs/flow-run/{flow_run_id}")


def _starts_soon(state: Any, now: datetime) -> bool:
    """Whether a worker will execute the run without being asked again."""
    if state is None:
        return False
    if state["type"] == "SCHEDULED":
        due = state["state_details"].get("scheduled_time")
        return due is None or _time(due) <= now + SOON
    return state["type"] == "PENDING" and _time(state["timestamp"]) > now - STALE_PENDING


_SETTLED: Final[dict[RunState | None, str]] = {
    RunState.COMPLETED: "COMPLETED",
    RunState.FAULTED: "FAILED",
    RunState.CANCELLED: "CANCELLED",
}


def _run_of(flow_run: dict[str, Any]) -> UUID | None:
    """The id of the run that a flow run carries out; None if it is none of ours."""
    try:
        return uuids.read(str(flow_run["parameters"]["run_id"]))
    except (KeyError, TypeError, ValueError):
        return None


def _is_final(state: Any) -> bool:
    return state is not None and state["type"] in {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


def _time(text: str) -> datetime:
    return instants.read(text)
