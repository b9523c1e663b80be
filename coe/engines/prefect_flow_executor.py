"""Run flows in this process, even while the connection to Prefect is lost."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final
from uuid import UUID

from prefect import Flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import Abort, Pause
from prefect.flow_engine import run_flow_async
from prefect.states import AwaitingRetry

Load = Callable[[str], Awaitable[Flow[..., Any]]]
"""Returns the flow of a deployment's entrypoint."""

PAUSES: Final = (0.5, 1.0, 2.0, 5.0, 10.0)
"""Before further attempts to reach Prefect, in seconds; the last one repeats."""
REPORT_ATTEMPTS: Final = 60
HAND_OVER_SECONDS: Final = 4.0

_log = logging.getLogger(__name__)


class FlowExecutor:
    """Runs flow runs concurrently, each at most once at a time; `load` returns their flows."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._newest: dict[UUID, asyncio.Task[None]] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._reports: set[asyncio.Task[None]] = set()
        self._failures: dict[UUID, int] = {}
        self._handing_over = False

    @property
    def busy(self) -> int:
        """How many flow runs are running."""
        return len(self._running)

    def start(self, flow_run: FlowRun, entrypoint: str) -> asyncio.Task[None]:
        """Run a flow run in a task until it ends or parks.

        The task never raises an error of the flow. It first waits for an earlier execution of the
        same flow run.
        """
        earlier = self._newest.get(flow_run.id)
        task = asyncio.create_task(self._execute(flow_run, entrypoint, earlier))
        self._newest[flow_run.id] = task
        self._running.add(task)
        task.add_done_callback(lambda done: self._forget(flow_run.id, done))
        return task

    async def drain(self, seconds: float) -> None:
        """Let the flows that run end, for at most so long; then hand over those that have not."""
        if self._running:
            await asyncio.wait(self._running, timeout=seconds)
        await self.hand_over()

    async def hand_over(self) -> None:
        """Stop every flow, start no more, and leave the runs to other workers."""
        self._handing_over = True
        for task in (*self._running, *self._reports):
            task.cancel()
        await asyncio.gather(*self._running, *self._reports, return_exceptions=True)

    async def _execute(
        self,
        flow_run: FlowRun,
        entrypoint: str,
        earlier: asyncio.Task[None] | None,
    ) -> None:
        try:
            if earlier is not None:
                await asyncio.wait({earlier})
            if not self._handing_over:
                await _run(await self._load(entrypoint), flow_run)
                self._failures.pop(flow_run.id, None)
                return
        except (Abort, Pause):
            self._failures.pop(flow_run.id, None)
            return
        except asyncio.CancelledError:
            _log.info("flow run %s is left to another worker", flow_run.id)
        except Exception:  # noqa: BLE001  # the top of a task: an error of Prefect or of the file
            _log.exception("flow run %s (%s) could not be run", flow_run.id, entrypoint)
            self._report_later(flow_run.id)
            return
        with contextlib.suppress(Exception):
            async with asyncio.timeout(HAND_OVER_SECONDS):
                await _schedule_again(flow_run.id)

    def _forget(self, flow_run_id: UUID, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if self._newest.get(flow_run_id) is task:
            del self._newest[flow_run_id]

    def _report_later(self, flow_run_id: UUID) -> None:
        """Have the run executed again once Prefect answers: it did not get the run's state.

        One that fails again and again is executed after growing pauses.
        """
        failures = self._failures.get(flow_run_id, 0)
        self._failures[flow_run_id] = failures + 1
        report = asyncio.create_task(_schedule_again_until_accepted(flow_run_id, failures))
        self._reports.add(report)
        report.add_done_callback(self._reports.discard)


async def _run(flow: Flow[..., Any], flow_run: FlowRun) -> None:
    """Run the flow in this loop, as its flow run; its exceptions become Prefect's states.

    For each run of a deployment, Prefect's engine would start a thread that listens for
    suspensions, and block this loop until the thread has connected. Only the run itself suspends
    it, so the engine gets the flow run without its deployment (and reads the real one right after).
    """
    without_deployment = flow_run.model_copy(update={"deployment_id": None})
    await run_flow_async(
        flow,
        flow_run=without_deployment,
        parameters=dict(flow_run.parameters),
        return_type="state",
    )


async def _schedule_again(flow_run_id: UUID) -> None:
    """Have a flow run executed again, unless it was cancelled meanwhile."""
    async with get_client() as client:
        found = await client.read_flow_run(flow_run_id)
        if found.state is None or not found.state.is_cancelled():
            await client.set_flow_run_state(flow_run_id, AwaitingRetry())


async def _schedule_again_until_accepted(flow_run_id: UUID, failures: int) -> None:
    for attempt in range(failures, failures + REPORT_ATTEMPTS):
        await asyncio.sleep(PAUSES[min(attempt, len(PAUSES) - 1)])
        with contextlib.suppress(Exception):
            await _schedule_again(flow_run_id)
            return
