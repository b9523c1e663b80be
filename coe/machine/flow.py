"""The whole flow: its input, its tasks within its timeout, its output."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from coe.json_types import JSON
from coe.language.fields import ItemPosition as Named
from coe.language.model.task_types import DoTask
from coe.machine.data import FLOW_INPUT, FLOW_OUTPUT, ExpressionSite
from coe.machine.errors import TaskFault
from coe.machine.interpreter import EndRun, Interpreter
from coe.machine.scope import ExecutionScope, ExportedContext, Frame
from coe.machine.tasks import declared, execute_list, with_deadline


async def run_definition(run: Interpreter) -> None:
    """Execute the definition from its input to its output."""
    scope = ExecutionScope(base=run.descriptor.id, context=ExportedContext())
    data = await _compute(run, lambda: _take_input(run))
    try:
        output = await _compute_once(run, lambda: _tasks_in_time(run, scope, data))
    except EndRun as end:
        output = end.output
    run.complete(await _compute(run, lambda: _give_output(run, scope, output)))


async def _take_input(run: Interpreter) -> JSON:
    declared_input, raw = run.definition.input, run.descriptor.input
    if declared_input is None:
        return raw
    site = ExpressionSite(FLOW_INPUT, pointer="/input")
    run.data.validate(declared_input.schema_, raw, site)
    if declared_input.from_ is None:
        return raw
    return await run.data.render(declared_input.from_, raw, site)


async def _give_output(run: Interpreter, scope: ExecutionScope, output: JSON) -> JSON:
    declared_output = run.definition.output
    if declared_output is None:
        return output
    site = ExpressionSite(FLOW_OUTPUT, scope=scope, pointer="/output")
    if declared_output.as_ is not None:
        output = await run.data.render(declared_output.as_, output, site)
    run.data.validate(declared_output.schema_, output, site)
    return output


async def _tasks_in_time(run: Interpreter, scope: ExecutionScope, data: JSON) -> JSON:
    """Execute the tasks within the timeout of the flow; its error points to `/do`."""
    limit = declared("/timeout", run.definition.timeout_of)
    work = partial(execute_list, run, run.definition.do, scope, data)
    if limit is None:
        return await work()
    site = ExpressionSite(FLOW_OUTPUT, pointer="/timeout")
    after = await run.data.duration(limit, data, site)
    whole = DoTask.model_construct(do=run.definition.do)
    whole.put(Named(name=run.definition.document.name, pointer="/do"))
    frame = Frame(whole, scope, 1, data, run.now)
    output: JSON = await with_deadline(run, frame, work, after)
    return output


async def _compute(run: Interpreter, compute: Callable[[], Awaitable[JSON]]) -> JSON:
    """Compute; a fault faults the run, and a retry computes again."""
    while True:
        try:
            return await compute()
        except TaskFault as fault:
            await run.halt(fault.error, None)


async def _compute_once(run: Interpreter, compute: Callable[[], Awaitable[JSON]]) -> JSON:
    """Compute once; a fault faults the run, and so does each retry: nothing may run twice."""
    try:
        return await compute()
    except TaskFault as fault:
        while True:
            await run.halt(fault.error, None)
