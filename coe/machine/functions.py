"""Calls of functions: those of the default catalog, and those that a definition declares."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Final

from coe.json_types import JSON
from coe.language.branches import outcomes
from coe.language.functions import FUNCTIONS
from coe.language.model.calls import DEFAULT_CATALOG, CallFunction
from coe.language.model.definition import Definition
from coe.language.model.task import Task
from coe.machine.calls import output_of, perform_leaf, render_arguments
from coe.machine.clock import later
from coe.machine.commands import OpenHumanTask, Phase, Stage, StartChild
from coe.machine.data import DEFINITION, ExpressionSite
from coe.machine.errors import TaskFault, standard_error
from coe.machine.facts import FactKind
from coe.machine.interpreter import Done, EndRun, Interpreter
from coe.machine.scope import Frame
from coe.machine.tasks import execute, typed, with_deadline


async def run_function(run: Interpreter, frame: Frame) -> Done:
    """Call a declared function, or one of the catalog."""
    task = typed(frame, CallFunction)
    function = run.definition.function_of(task)
    if function is not None:
        return Done(await _run_declared(run, frame, function))
    name, version, catalog = task.function
    known = FUNCTIONS.get((name, version or ""))
    body = _CATALOG_FUNCTIONS.get(name)
    if known is None or body is None or catalog != DEFAULT_CATALOG:
        title = f"There is no function {task.call} here"
        raise TaskFault(standard_error("configuration", title=title, instance=frame.pointer))
    arguments = await render_arguments(run, frame, task.with_)
    title = f"The arguments of {task.call} do not match its schema"
    run.data.check(known.arguments, arguments, ExpressionSite(DEFINITION, frame=frame), title)
    return Done(await body(run, frame, arguments))


async def _run_declared(run: Interpreter, frame: Frame, function: Task) -> JSON:
    """Execute the task of a declared function on the `with` of the call, or on its input."""
    task = typed(frame, CallFunction)
    data = frame.input
    if "with_" in task.model_fields_set:
        data = await render_arguments(run, frame, task.with_)
    scope = replace(
        frame.inside(), base=frame.key, visits=(), iterations=(), attempts=(), variables={}
    )
    done = await execute(run, function, scope, data, 1)
    if done.then == "end":
        raise EndRun(done.output)
    return done.output


# ---------------------------------------------------------------- people
async def run_human_task(run: Interpreter, frame: Frame, arguments: dict[str, JSON]) -> JSON:
    """Open a human task; the output is `{outcome, answer, reason, by, at}`.

    Raises:
        TaskFault: `timeout` (408), when nobody answered until the end of the escalation;
            `validation` (400) for a form that is no JSON Schema, `configuration` (400) for a role
            that does not exist.
    """
    if "form" in arguments:
        site = ExpressionSite(DEFINITION, frame=frame)
        run.data.check_schema(arguments["form"], site, "The form is not a JSON Schema")
    due, stages = _schedule(run, frame, arguments)
    approvals = arguments.get("approvals")
    command = OpenHumanTask(
        key=frame.key,
        path=frame.pointer,
        name=frame.task.name,
        arguments=run.scrub(arguments),
        approvals=approvals if isinstance(approvals, int) else 1,
        due=due,
        stages=stages,
        reminders=_reminders(run, frame, arguments.get("remind")),
        place=_place(frame),
    )
    fact = await run.perform(frame, command, Phase.PEOPLE_QUEUE)
    if fact.kind is FactKind.TASK_EXPIRED:
        run.on_branch(frame, outcomes.EXPIRES)
        title = "Nobody answered in time"
        raise TaskFault(standard_error("timeout", title=title, instance=frame.pointer))
    answered = output_of(fact, frame) if fact.kind is FactKind.TASK_FAULTED else fact.data
    answered = answered if isinstance(answered, dict) else {}
    outcome = answered.get("outcome")
    run.on_branch(frame, outcomes.ANSWERED)
    run.on_branch(frame, outcomes.decides(str(outcome)))
    return {name: value for name, value in answered.items() if name != "approvals"}


def _place(frame: Frame) -> tuple[str, ...]:
    """The pointers of the calls of functions around a task, outermost first, and its own."""
    around, calls = frame.scope.frame, [frame.pointer]
    while around is not None:
        if isinstance(around.task, CallFunction):
            calls.append(around.pointer)
        around = around.scope.frame
    return tuple(reversed(calls))


def _schedule(
    run: Interpreter, frame: Frame, arguments: Mapping[str, JSON]
) -> tuple[datetime | None, tuple[Stage, ...]]:
    """The due time and the escalation; all times count from now, the opening of the task."""
    site = ExpressionSite(DEFINITION, frame=frame)

    def after(length: JSON) -> datetime:
        return later(run.now, run.data.parse_duration(length, site))

    chain = arguments.get("escalate")
    stages = [
        Stage(after(stage.get("after")), str(stage.get("to")))
        for stage in (chain if isinstance(chain, list) else [chain])
        if isinstance(stage, dict)
    ]
    due = arguments.get("dueIn")
    in_order = tuple(sorted(stages, key=lambda stage: stage.at))
    return None if due is None else after(due), in_order


def _reminders(run: Interpreter, frame: Frame, remind: JSON) -> tuple[datetime, ...]:
    site = ExpressionSite(DEFINITION, frame=frame)
    each = remind if isinstance(remind, list) else [] if remind is None else [remind]
    return tuple(sorted(later(run.now, run.data.parse_duration(one, site)) for one in each))


# ---------------------------------------------------------------- flows
async def run_local_flow(run: Interpreter, frame: Frame, arguments: dict[str, JSON]) -> JSON:
    """Run a registered flow of a team, and wait for its output for at most `timeout`."""
    work = partial(
        start_child,
        run,
        frame,
        flow=str(arguments.get("ref")),
        data=arguments.get("input", frame.input),
        local=True,
    )
    if arguments.get("timeout") is None:
        return await work()
    after = run.data.parse_duration(arguments["timeout"], ExpressionSite(DEFINITION, frame=frame))
    output: JSON = await with_deadline(run, frame, work, after, label=("call",))
    return output


async def start_child(
    run: Interpreter, frame: Frame, *, flow: str, data: JSON, local: bool, wait: bool = True
) -> JSON:
    """Start a run of another flow; give its output with `wait`, else null once it has started."""
    command = StartChild(
        key=frame.key,
        path=frame.pointer,
        name=frame.task.name,
        flow=run.descriptor.flows.get(flow, flow),
        input=run.scrub(data),
        local=local,
        wait=wait,
    )
    phase = Phase.OTHER_TEAM if is_of_other_team(run.definition, command) else Phase.DISPATCH
    fact = await run.perform(frame, command, phase)
    return output_of(fact, frame)


def is_of_other_team(definition: Definition, command: StartChild) -> bool:
    """Whether the called flow belongs to another team than the flow that calls it."""
    return command.flow.partition("/")[0] != definition.document.namespace


async def run_decision(run: Interpreter, frame: Frame, arguments: dict[str, JSON]) -> JSON:
    """Evaluate a decision table, in the version that was resolved when the run started."""
    ref = str(arguments.get("ref"))
    resolved = {"input": frame.input} | arguments | {"ref": run.descriptor.flows.get(ref, ref)}
    return await perform_leaf(run, frame, "decision", resolved)


async def run_notify(run: Interpreter, frame: Frame, arguments: dict[str, JSON]) -> JSON:
    """Send a message to people."""
    return await perform_leaf(run, frame, "notify", arguments)


_CATALOG_FUNCTIONS: Final[
    Mapping[str, Callable[[Interpreter, Frame, dict[str, JSON]], Awaitable[JSON]]]
] = {
    "decision": run_decision,
    "humanTask": run_human_task,
    "localFlow": run_local_flow,
    "notify": run_notify,
}
