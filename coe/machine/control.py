"""Tasks that contain tasks: `do`, `for`, `fork`, `parallelMap`; and `switch`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from coe.json_types import JSON
from coe.language.branches import outcomes
from coe.language.model.calls import CallParallelMap
from coe.language.model.task import Task
from coe.language.model.task_types import DoTask, ForkTask, ForTask, SwitchCase, SwitchTask
from coe.machine.data import DEFINITION, ExpressionSite
from coe.machine.errors import ErrorHandler
from coe.machine.fibers import Ended, Fiber, Mailbox, Start
from coe.machine.interpreter import Done, EndRun, Interpreter
from coe.machine.scope import ExecutionScope, ExportedContext, Frame
from coe.machine.tasks import execute, execute_list, typed


async def run_do(run: Interpreter, frame: Frame) -> Done:
    """Run tasks in sequence."""
    task = typed(frame, DoTask)
    return Done(await execute_list(run, task.do, frame.inside(), frame.input))


async def run_switch(run: Interpreter, frame: Frame) -> Done:
    """Follow the directive of the first matching case; the output is the input."""
    task = typed(frame, SwitchTask)
    site = ExpressionSite(DEFINITION, frame=frame)
    default: SwitchCase | None = None
    for case in task.switch:
        if case.when is None:
            default = case
        elif await run.data.holds(case.when, frame.input, site):
            run.on_branch(frame, outcomes.case(case.name))
            return Done(frame.input, case.then)
    run.on_branch(frame, outcomes.NO_CASE if default is None else outcomes.case(default.name))
    return Done(frame.input, None if default is None else default.then)


async def run_for(run: Interpreter, frame: Frame) -> Done:
    """Run tasks for each item; the output of one iteration is the input of the next."""
    task = typed(frame, ForTask)
    loop, data = task.for_, frame.input
    items = await collection(run, frame, loop.in_)
    for index, item in enumerate(items):
        scope = frame.inside(variables={loop.each: item, loop.at: index}, iteration=index)
        site = ExpressionSite(DEFINITION, frame=frame, scope=scope)
        if task.while_ is not None and not await run.data.holds(task.while_, data, site):
            run.on_branch(frame, outcomes.STOPPED)
            return Done(data)
        data = await execute_list(run, task.do, scope, data)
    run.on_branch(frame, outcomes.ITEMS if items else outcomes.NO_ITEMS)
    return Done(data)


async def collection(run: Interpreter, frame: Frame, source: JSON) -> list[JSON]:
    """The items of a loop.

    Raises:
        TaskFault: `expression` (400), when `in` is not an array.
    """
    site = ExpressionSite(DEFINITION, frame=frame)
    items = await run.data.render(source, frame.input, site)
    if not isinstance(items, list):
        raise run.data.fault(site, "`in` is not an array")
    return items


# ---------------------------------------------------------------- concurrency
async def run_fork(run: Interpreter, frame: Frame) -> Done:
    """Run branches concurrently, each on a copy of the input."""
    fork = typed(frame, ForkTask).fork
    if fork.compete and fork.branches:
        return Done(await _race(run, frame, fork.branches))
    branches = _Branches(run, frame)
    for branch in fork.branches:
        context = branches.new_context()
        branches.start(partial(_branch, run, branch, frame.inside(context=context), frame.input))
    try:
        return Done(await branches.wait_for_all())
    finally:
        branches.merge()


async def _branch(run: Interpreter, task: Task, scope: ExecutionScope, data: JSON) -> JSON:
    """Run a branch: of its directives only `end` has an effect, for no task follows it."""
    done = await execute(run, task, scope, data, 1)
    if done.then == "end":
        raise EndRun(done.output)
    return done.output


async def run_parallel_map(run: Interpreter, frame: Frame) -> Done:
    """Run tasks for all items concurrently; the output is the array of their outputs, in order."""
    arguments = typed(frame, CallParallelMap).with_
    items = await collection(run, frame, arguments.in_)
    branches = _Branches(run, frame)
    limit = arguments.max_concurrency or len(items)
    try:
        for index, item in enumerate(items):
            while branches.running >= limit:
                await branches.wait_for_one()
            scope = frame.inside(
                variables={arguments.each: item, arguments.at: index},
                iteration=index,
                context=branches.new_context(),
            )
            branches.start(partial(execute_list, run, arguments.do, scope, item))
        outputs = await branches.wait_for_all()
    finally:
        branches.merge()
    run.on_branch(frame, outcomes.ITEMS if items else outcomes.NO_ITEMS)
    return Done(outputs)


class _Branches:
    """Concurrent fibers whose results and exports keep the order of their start."""

    def __init__(self, run: Interpreter, frame: Frame) -> None:
        self._run = run
        self._context = frame.scope.context
        self._box = Mailbox()
        self._fibers: dict[Fiber, int] = {}
        self._contexts: list[ExportedContext] = []
        self._results: list[JSON] = []

    @property
    def running(self) -> int:
        return len(self._fibers)

    def new_context(self) -> ExportedContext:
        context = self._context.branch()
        self._contexts.append(context)
        return context

    def start(self, work: Start) -> None:
        self._fibers[self._run.spawn(work, self._box)] = len(self._results)
        self._results.append(None)

    async def wait_for_one(self) -> None:
        """Wait for one fiber; the first that fails, or ends the run, cancels the others."""
        ended: Ended = await self._box.receive()
        index = self._fibers.pop(ended.fiber)
        if ended.error is not None:
            cancel_all(self._run, list(self._fibers))
            raise ended.error
        self._results[index] = ended.result

    async def wait_for_all(self) -> list[JSON]:
        while self._fibers:
            await self.wait_for_one()
        return list(self._results)

    def merge(self) -> None:
        """Keep the exports, whether the branches succeeded or failed, as after a sequence."""
        self._context.merge(self._contexts)


def cancel_all(run: Interpreter, fibers: Sequence[Fiber]) -> None:
    """Cancel fibers, in the order in which they started."""
    for fiber in fibers:
        run.discard(fiber)


# ---------------------------------------------------------------- competition
class _Rivals:
    """Catches the fault of a branch as long as another branch may still win."""

    def __init__(self, outer: ErrorHandler | None, count: int) -> None:
        self.outer = outer
        self.left = count

    async def accepts(self, error: dict[str, JSON]) -> bool:  # noqa: ARG002 - any error
        if self.left == 1:
            return False
        self.left -= 1
        return True


async def _race(run: Interpreter, frame: Frame, branches: Sequence[Task]) -> JSON:
    """Give the output of the first branch to succeed, or the error of the last to fault."""
    rivals = _Rivals(frame.scope.handler, len(branches))
    box = Mailbox()
    fibers: dict[Fiber, tuple[Task, ExportedContext]] = {}
    for branch in branches:
        context = frame.scope.context.branch()
        scope = frame.inside(context=context, handler=rivals)
        fiber = run.spawn(partial(_branch, run, branch, scope, frame.input), box)
        fibers[fiber] = (branch, context)
    while True:
        ended: Ended = await box.receive()
        branch, context = fibers.pop(ended.fiber)
        if getattr(ended.error, "target", None) is rivals:
            continue
        cancel_all(run, list(fibers))
        if ended.error is None or isinstance(ended.error, EndRun):
            frame.scope.context.merge([context])
        if ended.error is not None:
            raise ended.error
        run.on_branch(frame, outcomes.wins(branch.name))
        winner: JSON = ended.result
        return winner
