"""The execution of tasks: data flow, timeouts, faults, and flow directives.

The order is that of the specification: `if` on the raw input, `input.schema`, `input.from`, the
task itself, `output.as`, `output.schema`, `export.as`, `export.schema`, `then`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

from coe.json_types import JSON
from coe.language.branches import outcomes
from coe.language.durations import iso
from coe.language.model.task import Task, TaskList
from coe.machine.commands import StepState, TimerReason
from coe.machine.data import CONDITION, DEFINITION, EXPORT, INPUT, ExpressionSite
from coe.machine.errors import ErrorHandler, TaskFault, standard_error
from coe.machine.fibers import Ended, Mailbox, Start
from coe.machine.interpreter import Done, EndRun, Interpreter, TaskBody
from coe.machine.scope import ExecutionScope, Frame

TaskT = TypeVar("TaskT", bound=Task)
FoundT = TypeVar("FoundT")


def typed(frame: Frame, kind: type[TaskT]) -> TaskT:
    """The task of a frame, as the type that its body is for."""
    if not isinstance(frame.task, kind):
        raise TypeError(kind.__name__)
    return frame.task


async def execute_list(
    run: Interpreter, tasks: TaskList, scope: ExecutionScope, data: JSON
) -> JSON:
    """Execute the tasks of one scope, and give the output of the last.

    Raises:
        EndRun: a task has the directive `end`.
        TaskFault: with its handler as the target.
    """
    visits: Counter[str] = Counter()
    position: int | None = 0
    while position is not None and position < len(tasks):
        task = tasks[position]
        visits[task.name] += 1
        done = await execute(run, task, scope, data, visits[task.name])
        data = done.output
        match done.then:
            case None | "continue":
                position += 1
            case "exit":
                position = None
            case "end":
                raise EndRun(data)
            case name:
                position = _position(tasks, task, name)
    return data


def _position(tasks: TaskList, task: Task, name: str) -> int:
    position = tasks.position(name)
    if position is None:
        title = f"There is no task `{name}` in this scope to go to"
        raise TaskFault(standard_error("configuration", title=title, instance=task.pointer))
    return position


async def execute(
    run: Interpreter, task: Task, scope: ExecutionScope, data: JSON, visit: int
) -> Done:
    """Execute one task; execute it again when the run is retried after its fault."""
    frame = Frame(task, scope, visit, data, run.now)
    while True:
        run.steps.open(frame, step_kind(task), run.now)
        try:
            done = await _flow(run, frame)
        except TaskFault as fault:
            await _settle(run, frame, fault)
            frame = frame.repeated(run.now)
        except EndRun:
            run.steps.close(frame.key, StepState.COMPLETED, run.now)
            raise
        else:
            return done


def step_kind(task: Task) -> str:
    """The name of a task's type for people; for a call, the function."""
    call = getattr(task, "call", None)
    return task.kind if call is None else str(call).partition(":")[0]


async def _settle(run: Interpreter, frame: Frame, fault: TaskFault) -> None:
    """Raise a fault to its handler, or wait for a retry of the run.

    A task whose inner tasks may have run is not executed again: they must not run twice, and its
    own computation would fail again. Each retry of the run ends with the same fault.
    """
    clean = run.scrub(fault.error)
    error = clean if isinstance(clean, dict) else None
    try:
        while fault.target is None:
            await run.raise_or_halt(fault, frame)
            if not frame.entered:
                run.steps.close(frame.key, StepState.FAULTED, run.now, error)
                return
        raise fault
    except TaskFault:
        run.steps.close(frame.key, StepState.FAULTED, run.now, error)
        raise


async def _flow(run: Interpreter, frame: Frame) -> Done:
    task, data = frame.task, run.data
    _limit_visits(run, frame)
    if task.if_ is not None:
        if not await data.holds(task.if_, frame.raw, ExpressionSite(CONDITION, frame=frame)):
            run.on_branch(frame, outcomes.SKIPPED)
            run.steps.close(frame.key, StepState.SKIPPED, run.now)
            return Done(frame.raw, task.then)
        run.on_branch(frame, outcomes.NOT_SKIPPED)
    await _take_input(run, frame)
    done = await _in_time(run, frame, run.bodies[type(task)])
    frame.output = done.output
    await _give_output(run, frame)
    run.steps.close(frame.key, StepState.COMPLETED, run.now)
    return Done(frame.transformed, done.then or task.then)


def _limit_visits(run: Interpreter, frame: Frame) -> None:
    """Limit how often a task is entered, within one iteration of the loops around it.

    A loop ends with its collection; backward directives and retries might never end.
    """
    entered = frame.scope.entered
    if frame.again == 1:
        entered[frame.pointer] += 1
    if entered[frame.pointer] > run.max_visits:
        title = f"The task was entered more than {run.max_visits} times"
        raise TaskFault(standard_error("runtime", title=title, instance=frame.pointer))


async def _take_input(run: Interpreter, frame: Frame) -> None:
    declared = frame.task.input
    frame.input = frame.raw
    if declared is not None:
        site = ExpressionSite(INPUT, frame=frame)
        run.data.validate(declared.schema_, frame.raw, site)
        if declared.from_ is not None:
            frame.input = await run.data.render(declared.from_, frame.raw, site)


async def _give_output(run: Interpreter, frame: Frame) -> None:
    output, export = frame.task.output, frame.task.export
    frame.transformed = frame.output
    if output is not None:
        site = ExpressionSite(DEFINITION, frame=frame)
        if output.as_ is not None:
            frame.transformed = await run.data.render(output.as_, frame.output, site)
        run.data.validate(output.schema_, frame.transformed, site)
    if export is not None:
        site = ExpressionSite(EXPORT, frame=frame)
        if export.as_ is not None:
            context = await run.data.render(export.as_, frame.transformed, site)
            frame.scope.context.export(context)
        run.data.validate(export.schema_, frame.scope.context.value, site)


# ---------------------------------------------------------------- timeouts
async def _in_time(run: Interpreter, frame: Frame, body: TaskBody) -> Done:
    limit = declared(frame.pointer, lambda: run.definition.timeout_of(frame.task))
    if limit is None:
        return await body(run, frame)
    after = await run.data.duration(limit, frame.input, ExpressionSite(DEFINITION, frame=frame))
    done: Done = await with_deadline(run, frame, partial(body, run, frame), after)
    return done


def declared(pointer: str, find: Callable[[], FoundT]) -> FoundT:
    """Look up what the definition declares under a name.

    Raises:
        TaskFault: `configuration` (400), when the name is not declared.
    """
    try:
        return find()
    except KeyError as missing:
        title = f"Nothing is declared under `use` as {missing}"
        raise TaskFault(standard_error("configuration", title=title, instance=pointer)) from None


async def with_deadline(
    run: Interpreter,
    frame: Frame,
    work: Start,
    after: timedelta,
    *,
    label: tuple[str | int, ...] = ("timeout",),
    handler: ErrorHandler | None = None,
) -> Any:
    """Run work of a task with a deadline `after` from now; `label` distinguishes the deadlines.

    When the deadline passes, the work is cancelled and `timeout` (408) is raised, first to
    `handler`, then to the handlers around the task. If none catches it, the run faults and the work
    is suspended; a retry of the run gives it the same time again.

    Raises:
        TaskFault: the timeout, with its target, or the fault of the work.
    """
    box = Mailbox()
    fiber = run.spawn(work, box)
    rounds = 0
    while True:
        key = frame.subkey(*label, rounds)
        run.commands.issue(run.timer(frame, key, TimerReason.TIMEOUT, after, timedelta()), box)
        event = await box.receive()
        if isinstance(event, Ended):
            run.commands.cancel(key)
            run.on_branch(frame, outcomes.limits(str(label[0]))[0])
            if event.error is not None:
                raise event.error
            return event.result
        run.on_branch(frame, outcomes.limits(str(label[0]))[1])
        try:
            await run.raise_or_halt(TaskFault(timeout_error(frame, after)), frame, handler)
        except TaskFault:
            run.discard(fiber)
            raise
        rounds += 1


def timeout_error(frame: Frame, after: timedelta) -> dict[str, JSON]:
    """The error of a task that exceeded its timeout."""
    title, detail = "Timed out", f"after {iso(after // timedelta(milliseconds=1))}"
    return standard_error("timeout", title=title, detail=detail, instance=frame.pointer)
