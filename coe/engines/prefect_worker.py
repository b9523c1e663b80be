"""A Prefect worker of type `coe`: it runs flows in its own long-lived process.

Prefect's own process worker starts an interpreter a run (4.7 s); this takes half a second. Flow
runs outlive the connection: when the server (or the gateway) goes away, they go on, and the worker
connects again.

Prefect installs a SIGTERM handler around each flow that raises in the main thread; so the event
loop of this worker must run in another thread (see `coe.worker`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final
from uuid import UUID

import anyio.abc
from prefect import Flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.events.clients import get_events_subscriber
from prefect.events.filters import EventAnyResourceFilter, EventFilter, EventNameFilter
from prefect.exceptions import Abort, Pause
from prefect.flow_engine import run_flow_async
from prefect.states import AwaitingRetry
from prefect.workers.base import BaseJobConfiguration, BaseWorker, BaseWorkerResult

from coe.engines.prefect_api import JOB_TEMPLATE, WORKER_TYPE
from coe.errors import Unavailable

Load = Callable[[str], Awaitable[Flow[..., Any]]]
"""Give the flow of a deployment's entrypoint."""

POLL_SECONDS: Final = 2.0
"""Between two looks for scheduled runs, when no event told of one."""
SYNC_SECONDS: Final = 20.0
PAUSES: Final = (0.5, 1.0, 2.0, 5.0, 10.0)
"""Before further attempts to connect, in seconds; the last one repeats."""
REPORT_ATTEMPTS: Final = 60
HAND_OVER_SECONDS: Final = 4.0
STEADY_SECONDS: Final = 30.0
"""A connection that lasted longer was sound: the next failure is a new one."""
TELLING: Final = (
    "prefect.flow-run.AwaitingRetry",
    "prefect.flow-run.Resuming",
    "prefect.flow-run.Scheduled",
)
"""Events that say that a run waits for a worker."""

log = logging.getLogger(__name__)


class FlowExecutor:
    """Runs flows in this process. It outlives the connections of the worker.

    Args:
        load: Gives the flow of an entrypoint.
    """

    def __init__(self, load: Load) -> None:
        """Take the loader; nothing runs yet."""
        self._load = load
        self._running: dict[UUID, asyncio.Task[None]] = {}
        self._reports: set[asyncio.Task[None]] = set()
        self._handing_over = False

    async def execute(self, flow_run: FlowRun, entrypoint: str) -> None:
        """Run a flow run to its end or to where it parks; never raises for what the flow does.

        An earlier execution of the same flow run that is not yet through is waited for.
        """
        earlier = self._running.get(flow_run.id)
        if earlier is not None:
            await asyncio.wait({earlier})
        task = asyncio.create_task(self._execute(flow_run, entrypoint), name=flow_run.name)
        self._running[flow_run.id] = task
        try:
            await asyncio.wait({task})
        finally:
            if task.done() and self._running.get(flow_run.id) is task:
                del self._running[flow_run.id]

    async def hand_over(self) -> None:
        """Stop every flow, now and from now on, and leave its run to another worker."""
        self._handing_over = True
        stopped = [task for task in self._running.values() if not task.done()]
        for task in stopped:
            task.cancel()
        await asyncio.gather(*stopped, return_exceptions=True)
        for report in self._reports:
            report.cancel()

    async def _execute(self, flow_run: FlowRun, entrypoint: str) -> None:
        try:
            if self._handing_over:
                raise asyncio.CancelledError  # noqa: TRY301  # as if it had just begun
            await _run(await self._load(entrypoint), flow_run)
        except (Abort, Pause):
            return
        except asyncio.CancelledError:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(HAND_OVER_SECONDS):
                    await _schedule_again(flow_run.id)
        except Exception:  # the top: what Prefect or the file raises
            log.exception("flow run %s (%s) could not be carried out", flow_run.id, entrypoint)
            self._report_later(flow_run.id)

    def _report_later(self, flow_run_id: UUID) -> None:
        """Prefect could not be told how the run went: have it executed again once it can."""
        report = asyncio.create_task(_schedule_again_at_last(flow_run_id))
        self._reports.add(report)
        report.add_done_callback(self._reports.discard)


async def _run(flow: Flow[..., Any], flow_run: FlowRun) -> None:
    """Run the flow in this loop, as its flow run; its own exceptions end in Prefect's states.

    The engine would start a thread for each run of a deployment, and block this loop until that
    thread has connected, in order to learn of suspensions by others; nobody else suspends our
    runs, so it gets the flow run without its deployment (and reads the true one right after).
    """
    alone = flow_run.model_copy(update={"deployment_id": None})
    await run_flow_async(
        flow,
        flow_run=alone,
        parameters=dict(flow_run.parameters),
        return_type="state",
    )


async def _schedule_again(flow_run_id: UUID) -> None:
    async with get_client() as client:
        await client.set_flow_run_state(flow_run_id, AwaitingRetry())


async def _schedule_again_at_last(flow_run_id: UUID) -> None:
    for attempt in range(REPORT_ATTEMPTS):
        await asyncio.sleep(PAUSES[min(attempt, len(PAUSES) - 1)])
        with contextlib.suppress(Exception):
            await _schedule_again(flow_run_id)
            return


class Job(BaseJobConfiguration):
    """What a flow run needs of its deployment: the entrypoint."""

    entrypoint: str = ""

    def prepare_for_flow_run(
        self,
        flow_run: FlowRun,
        deployment: Any = None,
        *rest: Any,
        **named: Any,
    ) -> None:
        """Keep the entrypoint of the deployment."""
        super().prepare_for_flow_run(flow_run, deployment, *rest, **named)
        self.entrypoint = getattr(deployment, "entrypoint", None) or ""


class CoeWorker(BaseWorker[Job, Any, BaseWorkerResult]):
    """One connection of a worker to a work pool."""

    type = WORKER_TYPE
    job_configuration = Job

    def __init__(self, executor: FlowExecutor, *, pool: str, name: str, limit: int) -> None:
        """Take what executes, and how many flow runs may be under way here at once."""
        super().__init__(
            work_pool_name=pool,
            name=name,
            limit=limit,
            create_pool_if_not_found=False,
            base_job_template=JOB_TEMPLATE,
        )
        self._executor = executor
        self._told = asyncio.Event()

    async def run(
        self,
        flow_run: FlowRun,
        configuration: Job,
        task_status: anyio.abc.TaskStatus[Any] | None = None,
    ) -> BaseWorkerResult:
        """Execute the flow run here and now."""
        identity = f"{self.name}:{os.getpid()}"
        if task_status is not None:
            task_status.started(identity)
        await self._executor.execute(flow_run, configuration.entrypoint)
        return BaseWorkerResult(identifier=identity, status_code=0)

    async def work(self, stop: asyncio.Event) -> None:
        """Take flow runs until `stop` is set, then hand them over.

        Raises:
            Exception: The connection fails; flows that run go on.
        """
        async with self:
            if not self.is_synced:
                raise Unavailable("the work pool cannot be read")
            log.info("worker %s takes runs of the pool %s", self.name, self._work_pool_name)
            async with asyncio.TaskGroup() as loops:
                beside = [loops.create_task(each) for each in (self._listen(), self._sync())]
                while not stop.is_set():
                    self._told.clear()
                    await self.get_and_submit_flow_runs()
                    await _first_of(self._told, stop, patience=POLL_SECONDS)
                for task in beside:
                    task.cancel()
            await self._executor.hand_over()

    @property
    def is_synced(self) -> bool:
        """Whether the server has told of the work pool."""
        return self._work_pool is not None

    async def _sync(self) -> None:
        while True:
            await asyncio.sleep(SYNC_SECONDS)
            await self.sync_with_backend()

    async def _listen(self) -> None:
        """Look for runs at once when Prefect tells of one; without this, polling finds them."""
        while True:
            with contextlib.suppress(Exception):
                await self._listen_once()
            await asyncio.sleep(POLL_SECONDS)

    async def _listen_once(self) -> None:
        wanted = EventFilter(
            event=EventNameFilter(name=list(TELLING)),
            any_resource=EventAnyResourceFilter(id=[f"prefect.work-pool.{self.work_pool.id}"]),
        )
        async with get_events_subscriber(filter=wanted, reconnection_attempts=0) as events:
            async for _ in events:
                self._told.set()


async def serve_pool(
    executor: FlowExecutor,
    *,
    pool: str,
    name: str,
    limit: int,
    stop: asyncio.Event,
) -> None:
    """Work on a pool until `stop` is set, whatever comes and goes; then hand over.

    One line is logged when the connection is lost, and one when it is back.
    """
    failures = -1
    while not stop.is_set():
        worker = CoeWorker(executor, pool=pool, name=name, limit=limit)
        began = time.monotonic()
        try:
            await worker.work(stop)
        except Exception as error:  # noqa: BLE001  # the top of the loop: it connects again
            failures = 0 if time.monotonic() - began > STEADY_SECONDS else failures + 1
            if failures == 0:
                log.warning("worker %s lost its server (%s); trying again", name, _kind(error))
            pause = PAUSES[min(failures, len(PAUSES) - 1)]
            await _first_of(stop, patience=pause)
    await executor.hand_over()


async def _first_of(*events: asyncio.Event, patience: float) -> None:
    """Wait until one of the events is set, at most so many seconds."""
    waiting = [asyncio.create_task(event.wait()) for event in events]
    await asyncio.wait(waiting, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
    for each in waiting:
        each.cancel()


def _kind(error: BaseException) -> str:
    """The type of an exception, of the first one in a group."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return type(error).__name__
