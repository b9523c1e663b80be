"""Which function carries out the tasks of which type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from coe.language.model.calls import CallFunction, CallHttp, CallOpenApi, CallParallelMap
from coe.language.model.task import Task
from coe.language.model.task_types import (
    DoTask,
    EmitTask,
    ForkTask,
    ForTask,
    ListenTask,
    RaiseTask,
    RunTask,
    SetTask,
    SwitchTask,
    TryTask,
    WaitTask,
)
from coe.machine.calls import run_http, run_openapi
from coe.machine.control import run_do, run_for, run_fork, run_parallel_map, run_switch
from coe.machine.functions import run_function
from coe.machine.interpreter import TaskBody
from coe.machine.listen import run_listen
from coe.machine.simple_tasks import run_emit, run_flow, run_raise, run_set, run_wait
from coe.machine.try_catch import run_try

TASK_BODIES: Final[Mapping[type[Task], TaskBody]] = {
    CallFunction: run_function,
    CallHttp: run_http,
    CallOpenApi: run_openapi,
    CallParallelMap: run_parallel_map,
    DoTask: run_do,
    EmitTask: run_emit,
    ForTask: run_for,
    ForkTask: run_fork,
    ListenTask: run_listen,
    RaiseTask: run_raise,
    RunTask: run_flow,
    SetTask: run_set,
    SwitchTask: run_switch,
    TryTask: run_try,
    WaitTask: run_wait,
}
