"""A Prefect worker of type `coe`: it runs flows in its own long-lived process.

Prefect's own process worker starts an interpreter for each run (4.7 s); this one starts a run in
half a second. Flow runs outlive the connection: when the server (or the gateway) goes away, they go
on, and the worker connects again.

Prefect installs a SIGTERM handler around each flow that raises in the main thread; so the event
loop of this worker must run in another thread (see `coe.worker`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import anyio.abc
import httpx
from prefect.client.schemas.objects import FlowRun, State
from prefect.client.schemas.responses import SetStateStatus
from prefect.events.clients import get_events_subscriber
from prefect.events.filters import EventAnyResourceFilter, EventFilter, EventNameFilter
from prefect.exceptions import ObjectNotFound
from prefect.states import Pending
from prefect.workers.base import BaseJobConfiguration, BaseWorker, BaseWorkerResult

from coe.engines.prefect_engine import JOB_TEMPLATE, WORKER_TYPE
from coe.engines.prefect_flow_executor import PAUSES, FlowExecutor
from coe.errors import Unavailable
from coe.tls import why_unreached

POLL_SECONDS: Final = 2.0
"""Between two polls for scheduled runs, when no event announced one."""
SYNC_SECONDS: Final = 20.0
AHEAD: Final = timedelta(seconds=1)
"""A run that is due this soon is claimed already; Prefect lets it start in time."""
STEADY_SECONDS: Final = 30.0
"""After a connection that lasted longer, the pauses between attempts start anew."""
RUN_EVENTS: Final = (
    "prefect.flow-run.AwaitingRetry",
    "prefect.flow-run.Resuming",
    "prefect.flow-run.Scheduled",
)
"""Events that say that a run waits for a worker."""

_REFUSALS: Final = {
    401: "it does not know this worker (401): was its key revoked? coe worker enrol TEAM",
    403: "it refuses this worker (403): may its subject connect for this team?",
    404: "there is no platform at this address (404): is COE_URL right?",
    504: "it cannot be reached (504)",
}

_log = logging.getLogger(__name__)


class CoeWorker(BaseWorker[BaseJobConfiguration, Any, BaseWorkerResult]):
    """One connection of a worker to a work pool.

    Prefect's base class keeps the connection: the pool, the channel, the heartbeats. It makes
    twelve calls for a flow run; this makes only the claim, for there is no infrastructure to submit
    to. `limit` is how many flow runs may run at once in the executor, and `drain_seconds` how long
    they may run on when the worker ends.
    """

    type = WORKER_TYPE

    def __init__(
        self,
        executor: FlowExecutor,
        *,
        pool: str,
        name: str,
        limit: int,
        drain_seconds: float,
    ) -> None:
        super().__init__(
            work_pool_name=pool,
            name=name,
            create_pool_if_not_found=False,
            base_job_template=JOB_TEMPLATE,
        )
        self._executor = executor
        self._max_runs = limit
        self._drain_seconds = drain_seconds
        self._run_waits = asyncio.Event()
        self._entrypoints: dict[UUID, str] = {}

    async def run(
        self,
        flow_run: FlowRun,
        configuration: BaseJobConfiguration,  # noqa: ARG002  # the form of a worker
        task_status: anyio.abc.TaskStatus[Any] | None = None,
    ) -> BaseWorkerResult:
        """Execute a claimed flow run."""
        if task_status is not None:
            task_status.started(self.name)
        await asyncio.wait({self._executor.start(flow_run, await self._entrypoint(flow_run))})
        return BaseWorkerResult(identifier=self.name, status_code=0)

    async def get_and_submit_flow_runs(self) -> list[FlowRun]:
        """Claim the flow runs that are due, as far as there is room, and start them."""
        due = await self.client.get_scheduled_flow_runs_for_work_pool(
            work_pool_name=self._work_pool_name,
            scheduled_before=datetime.now(UTC) + AHEAD,
        )
        claimed = []
        for each in due[: max(0, self._max_runs - self._executor.busy)]:
            try:
                entrypoint = await self._entrypoint(each.flow_run)
                ours = await self._claim(each.flow_run)
            except ObjectNotFound:
                _log.warning("flow run %s or its deployment is gone", each.flow_run.id)
                continue
            if ours:
                self._executor.start(each.flow_run, entrypoint)
                claimed.append(each.flow_run)
        return claimed

    async def _claim(self, flow_run: FlowRun) -> bool:
        """Set the flow run to Pending: the server lets only one of several workers do so."""
        pending: State[Any] = Pending()
        answer = await self.client.set_flow_run_state(flow_run.id, pending)
        return answer.status is SetStateStatus.ACCEPT

    async def _entrypoint(self, flow_run: FlowRun) -> str:
        """The entrypoint of the flow run's deployment; a deployment is one exact version."""
        key = flow_run.deployment_id
        if key is None:
            return ""
        if key not in self._entrypoints:
            deployment = await self.client.read_deployment(key)
            self._entrypoints[key] = deployment.entrypoint or ""
        return self._entrypoints[key]

    async def work(self, stop: asyncio.Event, connected: asyncio.Event) -> None:
        """Take flow runs until `stop` is set, then let them end, or hand them over.

        `connected` is set while the work pool is known.

        Raises:
            Exception: The connection fails; flows that run go on.
        """
        async with self:
            if not self.is_synced:
                raise Unavailable("the work pool cannot be read")
            connected.set()
            _log.info("worker %s takes runs of the pool %s", self.name, self._work_pool_name)
            async with asyncio.TaskGroup() as loops:
                background = [loops.create_task(each) for each in (self._listen(), self._sync())]
                while not stop.is_set():
                    self._run_waits.clear()
                    await self.get_and_submit_flow_runs()
                    await _first_of(self._run_waits, stop, patience=POLL_SECONDS)
                for task in background:
                    task.cancel()
            await self._executor.drain(self._drain_seconds)

    @property
    def is_synced(self) -> bool:
        """Whether the server has described the work pool."""
        return self._work_pool is not None

    async def _sync(self) -> None:
        while True:
            await asyncio.sleep(SYNC_SECONDS)
            await self.sync_with_backend()

    async def _listen(self) -> None:
        """Poll at once when Prefect announces a run; without this, regular polling finds it."""
        while True:
            with contextlib.suppress(Exception):
                await self._listen_once()
            await asyncio.sleep(POLL_SECONDS)

    async def _listen_once(self) -> None:
        wanted = EventFilter(
            event=EventNameFilter(name=list(RUN_EVENTS)),
            any_resource=EventAnyResourceFilter(id=[f"prefect.work-pool.{self.work_pool.id}"]),
        )
        async with get_events_subscriber(filter=wanted, reconnection_attempts=0) as events:
            async for _ in events:
                self._run_waits.set()


async def serve_pool(
    executor: FlowExecutor,
    *,
    pool: str,
    name: str,
    limit: int,
    stop: asyncio.Event,
    drain_seconds: float = 0.0,
    connected: asyncio.Event | None = None,
) -> None:
    """Work on a pool until `stop` is set, through lost connections; then drain and hand over.

    One line is logged when the connection is lost, and one when it is back; `connected` is set in
    between.
    """
    connected = connected or asyncio.Event()
    failures = -1
    while not stop.is_set():
        worker = CoeWorker(executor, pool=pool, name=name, limit=limit, drain_seconds=drain_seconds)
        began = time.monotonic()
        try:
            await worker.work(stop, connected)
        except Exception as error:  # noqa: BLE001  # the top of the loop: it connects again
            connected.clear()
            failures = 0 if time.monotonic() - began > STEADY_SECONDS else failures + 1
            if failures == 0:
                _log.warning("worker %s has no server: %s; trying again", name, _why(error))
            pause = PAUSES[min(failures, len(PAUSES) - 1)]
            await _first_of(stop, patience=pause)
    await executor.drain(drain_seconds)


async def _first_of(*events: asyncio.Event, patience: float) -> None:
    """Wait until one of the events is set, at most so many seconds."""
    waiting = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in waiting:
            each.cancel()


def _why(error: BaseException) -> str:
    """Why there is no connection, of the first exception in a group; without its texts."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, httpx.HTTPStatusError):
        status = error.response.status_code
        return _REFUSALS.get(status, f"it answered {status}")
    if isinstance(error, httpx.TransportError):
        return f"it cannot be reached ({why_unreached(error)})"
    return type(error).__name__
