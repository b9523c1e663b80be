"""The central flow: one Prefect flow run carries one process run, as tasks, until it parks or ends.

Prefect sees the run id and the names of steps. Results stay in our closures, and an exception that
reaches Prefect says only that a step failed. The machine, its journal and its lease are in
`coe.runs`; a run that Prefect executes twice is carried on by whoever holds the lease.

Set the environment (`coe.engines.prefect_server.worker_environment`) before importing this module.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Any, Final, NoReturn
from uuid import UUID

from prefect import Flow, Task, flow
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas import State
from prefect.client.schemas.responses import SetStateStatus
from prefect.context import FlowRunContext
from prefect.exceptions import Abort, Pause
from prefect.states import AwaitingRetry, Cancelled, Suspended

from coe.execution.advance import Finished, LostLease, Parked, advance
from coe.execution.leaf_tasks import StepFailedError
from coe.execution.runtime import Runtime
from coe.runs.models import RunState

NAMES: Final = 1000
"""Steps whose tasks are kept."""
PAUSE_AFTER_FAULT: Final = timedelta(seconds=3)

log = logging.getLogger(__name__)


class RunFaultedError(Exception):
    """What Prefect is told of a run that faulted: the error itself is with the run."""


_runtime: ContextVar[Runtime] = ContextVar("coe_runtime")


def central_flow(runtime: Runtime) -> Callable[[str], Awaitable[Flow[..., Any]]]:
    """A loader that gives `process_run` for every entrypoint, with what it works with set.

    Call it in the context in which the flows are to run.
    """
    _runtime.set(runtime)

    async def load(entrypoint: str) -> Flow[..., Any]:  # noqa: ARG001  # the form of a loader
        return process_run

    return load


@flow(name="process-run", validate_parameters=False, persist_result=False)
async def process_run(run_id: str) -> State[Any] | None:
    """Advance a run as far as it goes; end or park the flow run accordingly.

    Raises:
        RunFaultedError: The run ended with an error; nothing of it is in the message.
    """
    runtime = _runtime.get()
    try:
        outcome = await advance(runtime, UUID(run_id), carry=carry)
    except Exception as error:
        log.exception("run %s was let go and is tried again soon", run_id)
        await _again_soon(runtime, error)
    match outcome:
        case Parked():
            await _park()
        case LostLease():
            raise Abort("another worker holds the run")
        case Finished(state=RunState.FAULTED):
            raise RunFaultedError(f"run {run_id} faulted")
        case Finished(state=RunState.CANCELLED):
            return Cancelled()
    return None


async def carry(name: str, key: str, work: Callable[[], Awaitable[None]]) -> None:  # noqa: ARG001  # the form of a carry
    """Carry out a leaf as a Prefect task of this name; its error does not pass Prefect."""
    carried = _Carried(work)
    token = _carried.set(carried)
    try:
        await _task(name)()
    except StepFailedError:
        if carried.error is not None:
            raise carried.error from None
        raise
    finally:
        _carried.reset(token)


@dataclass(slots=True)
class _Carried:
    """What the task does that is begun in this context, and how it failed."""

    work: Callable[[], Awaitable[None]]
    error: Exception | None = None


_carried: ContextVar[_Carried] = ContextVar("coe_carried")


@lru_cache(maxsize=NAMES)
def _task(name: str) -> Task[..., Any]:
    """The task of a step's name; Prefect reads source code to make one, so it is kept."""
    return Task(_leaf, name=name, cache_policy=NO_CACHE, persist_result=False, log_prints=False)


async def _leaf() -> None:
    carried = _carried.get()
    try:
        await carried.work()
    except Exception as error:  # noqa: BLE001  # Prefect gets another one in its place
        carried.error = error
        raise StepFailedError("the step faulted; see the run") from None


async def _park() -> NoReturn:
    """Free everything: whatever arrives from now on wakes the run, our own timers too.

    A wake-up that came before, when the run was parked in our database and not yet in Prefect, has
    set the flow run to be executed again; then Prefect refuses to have it suspended. It would not
    refuse a time in the future: the wake-up would be lost, and its execution sleep until then.

    Raises:
        Pause: The flow run is suspended.
        Abort: It is about to be executed again.
    """
    raise Pause(state=await _set_state(Suspended()))


async def _again_soon(runtime: Runtime, error: Exception) -> NoReturn:
    """Have the run executed again: something of ours was away, and the journal is whole."""
    due = runtime.platform.clock() + PAUSE_AFTER_FAULT
    again: State[Any] = AwaitingRetry(scheduled_time=due)
    raise Pause(state=await _set_state(again)) from error


async def _set_state(state: State[Any]) -> State[Any]:
    """Set the state of the flow run that is executed here.

    Raises:
        Abort: Prefect does not take it: the flow run was given another one meanwhile.
    """
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        raise Abort("not inside a flow run")
    client = context.client
    if not isinstance(client, PrefectClient):
        raise Abort("the flow run is not executed in an event loop")
    answer = await client.set_flow_run_state(context.flow_run.id, state)
    if answer.status is not SetStateStatus.ACCEPT or answer.state is None:
        raise Abort("the flow run was given another state meanwhile")
    return answer.state
