"""Tasks without inner tasks: `set`, `raise`, `wait`, `emit` and `run: workflow`."""

from __future__ import annotations

from datetime import timedelta
from uuid import NAMESPACE_URL, uuid5

from coe.formats import instants
from coe.json_types import JSON
from coe.language.event_attributes import event_problems, without_nulls
from coe.language.model.task_types import EmitTask, RaiseTask, RunTask, SetTask, WaitTask
from coe.machine.calls import expand_uri, render_arguments
from coe.machine.commands import EmitEvent, Phase, TimerReason
from coe.machine.data import DEFINITION, MAX_VIOLATIONS, ExpressionSite
from coe.machine.errors import TaskFault, normalised_error, standard_error
from coe.machine.functions import start_child
from coe.machine.interpreter import Done, Interpreter
from coe.machine.scope import Frame
from coe.machine.tasks import declared, typed


async def run_set(run: Interpreter, frame: Frame) -> Done:
    """Give an object, or the value of one expression."""
    site = ExpressionSite(DEFINITION, frame=frame)
    return Done(await run.data.render(typed(frame, SetTask).set, frame.input, site))


async def run_raise(run: Interpreter, frame: Frame) -> Done:
    """Raise an error; its instance is this task unless the definition names another.

    Raises:
        TaskFault: the error; or `expression` (400), when a part of it is an object or an array.
    """
    task = typed(frame, RaiseTask)
    given = declared(frame.pointer, lambda: run.definition.error_of(task.raise_))
    error = await render_arguments(run, frame, given.model_dump())
    error["type"] = await expand_uri(run, frame, given.type)
    for name, value in error.items():
        if isinstance(value, dict | list):
            site = ExpressionSite(DEFINITION, frame=frame)
            raise run.data.fault(site, f"`{name}` of an error is an object or an array")
    raise TaskFault(normalised_error(error, frame.pointer))


async def run_wait(run: Interpreter, frame: Frame) -> Done:
    """Wait for a duration; the output is the input."""
    site = ExpressionSite(DEFINITION, frame=frame)
    after = await run.data.duration(typed(frame, WaitTask).wait, frame.input, site)
    timer = run.timer(frame, frame.key, TimerReason.WAIT, after, timedelta())
    await run.perform(frame, timer, Phase.TIMER)
    return Done(frame.input)


async def run_emit(run: Interpreter, frame: Frame) -> Done:
    """Send an event; the output is the event as sent.

    Required attributes that the definition omits, or that are null, are derived: the id from the
    key of the step, the source from the flow, the time from the journal.

    Raises:
        TaskFault: `validation` (400), when the event is not one that the platform would receive.
    """
    document = run.definition.document
    flow = f"/{document.namespace}/{document.name}/{document.version}"
    event: dict[str, JSON] = {
        "specversion": "1.0",
        "id": str(uuid5(NAMESPACE_URL, frame.key)),
        "source": flow,
        "time": instants.write_seconds(run.now),
    }
    event |= without_nulls(await _attributes(run, frame))
    clean = run.scrub(event)
    assert isinstance(clean, dict)  # noqa: S101 - scrubbing keeps the shape
    problems = [f"{each.path}: {each.message}" for each in event_problems(clean, flow=flow)]
    if problems:
        title = "The event is not a valid CloudEvent"
        detail = "; ".join(problems[:MAX_VIOLATIONS])
        raise TaskFault(
            standard_error("validation", title=title, detail=detail, instance=frame.pointer)
        )
    command = EmitEvent(key=frame.key, path=frame.pointer, name=frame.task.name, event=clean)
    fact = await run.perform(frame, command)
    sent = fact.data.get("event") if isinstance(fact.data, dict) else None
    return Done(clean if sent is None else sent)


async def _attributes(run: Interpreter, frame: Frame) -> dict[str, JSON]:
    """The attributes that the task gives; its addresses are URI templates."""
    given = typed(frame, EmitTask).emit.event.with_
    found = await render_arguments(run, frame, given.given())
    for name, uri in given.templates().items():
        found[name] = await expand_uri(run, frame, uri)
    return found


async def run_flow(run: Interpreter, frame: Frame) -> Done:
    """Run another flow; without `await` the output is the input."""
    task = typed(frame, RunTask)
    flow = task.run.workflow
    if flow is None:
        title = f"{task.unsupported_key} is not run here"
        raise TaskFault(standard_error("configuration", title=title, instance=frame.pointer))
    data = frame.input
    if flow.input is not None:
        site = ExpressionSite(DEFINITION, frame=frame)
        data = await run.data.render(flow.input, frame.input, site)
    output = await start_child(
        run,
        frame,
        flow=f"{flow.namespace}/{flow.name}@{flow.version}",
        data=data,
        local=False,
        wait=task.run.await_,
    )
    return Done(output if task.run.await_ else frame.input)
