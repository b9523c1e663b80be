"""The central flow: one Prefect flow run advances one process run until it parks or ends.

Prefect sees the run id and the names of steps, which are its tasks. Results stay in our closures,
and an exception that reaches Prefect says only that a step failed. Where Prefect executes a run
twice, the execution that holds the lease goes on (`coe.execution.advance`).

Set the environment (`coe.engines.prefect_server.worker_environment`) before importing this module.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import lru_cache
from typing import Any, Final, NoReturn

from prefect import Flow, Task, flow
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas import State
from prefect.client.schemas.responses import SetStateStatus
from prefect.context import FlowRunContext
from prefect.exceptions import Abort, Pause
from prefect.states import AwaitingRetry, Cancelled, Suspended

from coe.execution.advance import Finished, HandedOver, LostLease, Parked, advance
from coe.execution.runtime import Runtime
from coe.formats import uuids
from coe.runs.models import RunState

MAX_TASKS: Final = 1000
"""Names of steps whose Prefect tasks are kept."""
PAUSE_AFTER_FAULT: Final = timedelta(seconds=3)

_log = logging.getLogger(__name__)


class RunFaultedError(Exception):
    """The error that Prefect gets of a run that faulted; the run itself has the details."""


def central_flow(runtime: Runtime) -> Callable[[str], Awaitable[Flow[..., Any]]]:
    """A loader that returns the flow `process-run` for every entrypoint."""

    @flow(name="process-run", validate_parameters=False, persist_result=False)
    async def process_run(run_id: str) -> State[Any] | None:
        return await _advance(runtime, run_id)

    async def load(entrypoint: str) -> Flow[..., Any]:  # noqa: ARG001  # the form of a loader
        return process_run

    return load


async def _advance(runtime: Runtime, run_id: str) -> State[Any] | None:
    """Advance a run as far as it goes; end or park the flow run accordingly.

    Raises:
        RunFaultedError: The run faulted; the message does not quote its error.
    """
    try:
        outcome = await advance(runtime, uuids.read(run_id), run_task=run_prefect_task)
    except Exception as error:  # noqa: BLE001  # logged; the run is executed again
        _log.exception("run %s was interrupted and is tried again soon", run_id)
        await _retry_soon(runtime, error)
    match outcome:
        case Parked():
            await _park()
        case HandedOver():
            raise Pause(state=await _set_state(AwaitingRetry()))
        case LostLease():
            raise Abort("another worker holds the run")
        case Finished(state=RunState.FAULTED):
            raise RunFaultedError(f"run {run_id} faulted")
        case Finished(state=RunState.CANCELLED):
            return Cancelled()
    return None


async def run_prefect_task(name: str, key: str, work: Callable[[], Awaitable[None]]) -> None:  # noqa: ARG001  # the shape of TaskRunner
    """Run a leaf as a Prefect task of this name; of a fault, Prefect gets a `StepFailedError`."""
    await _task(name)(work)


@lru_cache(maxsize=MAX_TASKS)
def _task(name: str) -> Task[..., Any]:
    """The task of a step's name; Prefect reads source code to make one, so it is kept."""
    return Task(_run_leaf, name=name, cache_policy=NO_CACHE, persist_result=False, log_prints=False)


async def _run_leaf(leaf: Callable[[], Awaitable[None]]) -> None:
    await leaf()


async def _park() -> NoReturn:
    """Suspend the flow run: whatever arrives from now on wakes it, our own timers too.

    A wake-up may come when the run is parked in our database but not yet in Prefect. It schedules
    the flow run again, and Prefect then refuses to suspend it. Prefect would not refuse a time in
    the future: the wake-up would be lost, and the run would sleep until that time.

    Raises:
        Pause: The flow run is suspended.
        Abort: It is about to be executed again.
    """
    raise Pause(state=await _set_state(Suspended()))


async def _retry_soon(runtime: Runtime, error: Exception) -> NoReturn:
    """Have the run executed again: a part of the platform failed, and the journal is complete."""
    due = runtime.platform.clock() + PAUSE_AFTER_FAULT
    retry: State[Any] = AwaitingRetry(scheduled_time=due)
    raise Pause(state=await _set_state(retry)) from error


async def _set_state(state: State[Any]) -> State[Any]:
    """Set the state of the flow run that is executed here.

    Raises:
        Abort: Prefect refuses it: the flow run has got another state meanwhile.
    """
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        raise Abort("not inside a flow run")
    client = context.client
    if not isinstance(client, PrefectClient):
        raise Abort("the flow run is not executed in an event loop")
    answer = await client.set_flow_run_state(context.flow_run.id, state)
    if answer.status is not SetStateStatus.ACCEPT or answer.state is None:
        raise Abort("the flow run has got another state meanwhile")
    return answer.state
