"""The engine in this process: every run is an asyncio task. For tests and the command line.

It keeps nothing: when the process ends, the next process with the loops picks up its runs. Local
flows are functions, passed to it by the refs of the flows.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Final
from uuid import UUID

from coe.access.actor import Actor
from coe.errors import CoeError, Conflict, NotFound
from coe.execution.advance import advance
from coe.execution.engine import EngineHealth, EngineRun, LocalFlowRef, RunRef, StartedRun
from coe.execution.runtime import Runtime
from coe.identifiers import worker_subject
from coe.json_types import JSON
from coe.machine.commands import StepState
from coe.machine.errors import type_of
from coe.runs import local_runs
from coe.runs.models import RunState
from coe.runs.records import LocalClaim
from coe.work import Platform

StepWork = Callable[[], Awaitable[JSON]]
_log = logging.getLogger(__name__)


class LocalFlowError(Exception):
    """A local flow, or a step of it, failed with an error: an RFC 7807 object."""

    def __init__(self, error: dict[str, JSON]) -> None:
        super().__init__(str(error.get("type")))
        self.error: Final = error


class InlineLocalRun:
    """The interface for the code of a local flow: its input, its steps, their keys."""

    def __init__(self, platform: Platform, actor: Actor, claim: LocalClaim) -> None:
        self._platform = platform
        self._actor = actor
        self._claim = claim
        self.input: Final = claim.input

    def key(self, step: str) -> str:
        """The idempotency key of a step: the same in every attempt."""
        return local_runs.step_key(self._claim.run.id, step)

    async def step(self, name: str, work: StepWork) -> JSON:
        """Do a step and return its output; of a completed step, return the output that it had.

        Raises:
            LocalFlowError: The step failed; it is reported.
        """
        if name in self._claim.done:
            return self._claim.done[name]
        await self._report(name, StepState.RUNNING)
        try:
            output = await work()
        except LocalFlowError as failed:
            await self._report(name, StepState.FAULTED, error=failed.error)
            raise
        await self._report(name, StepState.COMPLETED, output=output)
        return output

    async def _report(
        self,
        name: str,
        state: StepState,
        *,
        output: JSON = None,
        error: dict[str, JSON] | None = None,
    ) -> None:
        async with self._platform.work(self._actor) as work:
            await local_runs.report_step(
                work,
                self._claim.run.id,
                attempt=self._claim.attempt,
                name=name,
                state=state,
                output=output,
                error=error,
            )


LocalFlow = Callable[[InlineLocalRun], Awaitable[JSON]]


class InlineEngine:
    """An `Engine` whose runs are tasks of this process.

    `local_flows` are by "namespace/name"; all versions of a flow are one function.
    """

    name = "inline"

    def __init__(
        self,
        runtime: Runtime,
        local_flows: Mapping[str, LocalFlow] | None = None,
    ) -> None:
        self._runtime = runtime
        self._platform = runtime.platform
        self._local_flows = dict(local_flows or {})
        self._tasks: dict[UUID, asyncio.Task[None]] = {}
        self._again: set[UUID] = set()

    async def request(self, run: RunRef) -> EngineRun:
        """Start the run; if it is running here, run it once more afterwards.

        Raises:
            NotFound: There is no code for this local flow.
        """
        if run.local and run.flow.partition("@")[0] not in self._local_flows:
            raise NotFound(f"there is no code for {run.flow}")
        if run.id in self._tasks:
            self._again.add(run.id)
        else:
            self._tasks[run.id] = asyncio.create_task(self._run(run), name=f"coe-run-{run.id}")
        return EngineRun(str(run.id))

    async def wake(self, run: RunRef) -> EngineRun:
        """Have the run go on: the same as to request it."""
        return await self.request(run)

    async def cancel(self, run: RunRef) -> None:
        """Stop the task of the run."""
        self._again.discard(run.id)
        task = self._tasks.get(run.id)
        if task is not None:
            task.cancel()

    async def prepare(self, team: str) -> None:
        """Do nothing: there are no pools here."""

    async def deploy(self, flow: LocalFlowRef) -> None:
        """Do nothing: the code of local flows is here from the start."""

    async def started_runs(self, *, older_than: timedelta) -> list[StartedRun]:  # noqa: ARG002  # the port's
        """None: a task of this process ends with the run."""
        return []

    async def settle(self, started: StartedRun, state: RunState | None) -> None:
        """Do nothing."""

    async def health(self) -> EngineHealth:
        """Always up, for it is this process."""
        return EngineHealth(self.name, ready=True, detail=f"{len(self._tasks)} runs are running")

    async def close(self) -> None:
        """Stop all tasks; their runs are given up and go on elsewhere."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, run: RunRef) -> None:
        try:
            while True:
                self._again.discard(run.id)
                await self._run_once(run)
                if run.id not in self._again:
                    return
        except Exception as error:  # noqa: BLE001  # the top of a task; the reaper asks again
            _log.warning("run %s was interrupted: %s", run.id, type(error).__name__)
        finally:
            self._tasks.pop(run.id, None)

    async def _run_once(self, run: RunRef) -> None:
        if run.local:
            await self._run_local(run)
        else:
            await advance(self._runtime, run.id)

    async def _run_local(self, run: RunRef) -> None:
        actor = Actor.of(worker_subject(run.team))
        try:
            async with self._platform.work(actor) as work:
                claim = await local_runs.claim_run(work, run.id)
        except Conflict:
            return  # another attempt has it, or it has ended
        code = self._local_flows[run.flow.partition("@")[0]]
        heartbeat = asyncio.create_task(self._beat(actor, claim))
        try:
            output, error = await _outcome(code, InlineLocalRun(self._platform, actor, claim))
        finally:
            heartbeat.cancel()
        with contextlib.suppress(Conflict):
            async with self._platform.work(actor) as work:
                await local_runs.report_run(
                    work,
                    run.id,
                    attempt=claim.attempt,
                    output=output,
                    error=error,
                )

    async def _beat(self, actor: Actor, claim: LocalClaim) -> None:
        pause = timedelta(seconds=claim.heartbeat_seconds).total_seconds()
        while True:
            await asyncio.sleep(pause)
            async with self._platform.work(actor) as work:
                await local_runs.heartbeat_run(work, claim.run.id, attempt=claim.attempt)


async def _outcome(code: LocalFlow, run: InlineLocalRun) -> tuple[JSON, dict[str, JSON] | None]:
    try:
        return await code(run), None
    except LocalFlowError as failed:
        return None, failed.error
    except CoeError:
        raise
    except Exception as error:  # noqa: BLE001  # an error of a team's code is a fault of the run
        _log.warning("a local flow raised %s", type(error).__name__)
        title = "The local flow raised an error"
        return None, {"type": type_of("runtime"), "status": 500, "title": title}
