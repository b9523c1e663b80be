"""The longest time that a task can take, as far as the definition bounds it.

Only waiting takes time: for calls, people, events, `wait` and the delays of retries. A time that
only a run knows (a call without a timeout, a computed duration) has no bound: None.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any, Final, NamedTuple

from coe.formats.durations import DurationError
from coe.json_types import JSON
from coe.language.branches.successors import reachable, successors
from coe.language.durations import Duration, parse
from coe.language.model.calls import CallFunction, CallParallelMap
from coe.language.model.components import RetryPolicy
from coe.language.model.definition import Definition
from coe.language.model.task import Task, TaskList
from coe.language.model.task_types import (
    DoTask,
    EmitTask,
    ForkTask,
    ForTask,
    RaiseTask,
    RunTask,
    SetTask,
    SwitchTask,
    TryTask,
    WaitTask,
)

NO_TIME: Final = timedelta()
# More retries count as unbounded.
_MAX_RETRIES: Final = 1000


def time_bound(definition: Definition, task: Task) -> timedelta | None:
    """The longest time of a task, with its own timeout; None if nothing bounds it."""
    return _least(work_bound(definition, task), limit_of(definition, task))


def work_bound(definition: Definition, task: Task) -> timedelta | None:
    """The longest time of a task without its own timeout; None if nothing bounds it."""
    measure = _MEASURES.get(type(task))
    try:
        return None if measure is None else measure(definition, task)
    except OverflowError:
        return None


def list_bound(definition: Definition, tasks: TaskList) -> timedelta | None:
    """The longest time of the tasks of one scope; None if nothing bounds it."""
    each = [time_bound(definition, tasks[index]) for index in sorted(reachable(tasks))]
    if any(
        follower is not None and follower <= index
        for index in reachable(tasks)
        for follower in successors(tasks, index)
    ):
        return NO_TIME if all(one == NO_TIME for one in each) else None
    return _sum(each)


def limit_of(definition: Definition, task: Task | None = None) -> timedelta | None:
    """The timeout of a task, or without a task of the flow; None if it has none or computes it."""
    try:
        return literal(definition.timeout_of(task))
    except KeyError:
        return None


class TaskTimes(NamedTuple):
    """The times of a human task, from its opening.

    `stages` are those of its escalation in the order in which they fire, each with its index in the
    definition. `due` and `expires` are None for a task that never expires.
    """

    stages: tuple[tuple[timedelta, int], ...]
    due: timedelta | None = None
    expires: timedelta | None = None


def task_times(task: CallFunction) -> TaskTimes | None:
    """The times of a human task; None if one of them is computed."""
    chain, given = task.with_.get("escalate"), task.with_.get("dueIn")
    stages: list[tuple[timedelta, int]] = []
    for index, stage in enumerate(chain if isinstance(chain, list) else []):
        after = literal(stage.get("after")) if isinstance(stage, dict) else None
        if after is None:
            return None
        stages.append((after, index))
    stages.sort()
    if given is None:
        return TaskTimes(tuple(stages))
    due = literal(given)
    if due is None:
        return None
    return TaskTimes(tuple(stages), due, max([due, *(after for after, _ in stages)]))


def literal(value: Duration | JSON) -> timedelta | None:
    """The length of a literal duration; None for an expression, and for what is not a duration."""
    if value is None:
        return None
    try:
        duration = parse(value)
    except DurationError:
        return None
    return None if duration.milliseconds is None else duration.timedelta


# ---------------------------------------------------------------- task types
def _loop(definition: Definition, tasks: TaskList, items: JSON) -> timedelta | None:
    once = list_bound(definition, tasks)
    if once == NO_TIME:
        return NO_TIME
    return once * len(items) if isinstance(items, list) and once is not None else None


def _fork(definition: Definition, task: ForkTask) -> timedelta | None:
    each = [time_bound(definition, branch) for branch in task.fork.branches]
    known = [one for one in each if one is not None]
    return max(known, default=NO_TIME) if len(known) == len(each) else None


def _try(definition: Definition, task: TryTask) -> timedelta | None:
    once = list_bound(definition, task.try_)
    caught = NO_TIME if task.catch.do is None else list_bound(definition, task.catch.do)
    policy = retry_of(definition, task)
    if policy is None:
        return _sum([once, caught])
    limit = policy.limit.attempt.count if policy.limit and policy.limit.attempt else None
    if limit is None or limit > _MAX_RETRIES or once is None:
        return None
    return _sum([once * (limit + 1), caught, *(_delay(policy, n) for n in range(1, limit + 1))])


def retry_of(definition: Definition, task: TryTask) -> RetryPolicy | None:
    """The retry policy of a `try`; None if it has none, or names one that is not declared."""
    try:
        return definition.retry_of(task.catch)
    except KeyError:
        return None


def _delay(policy: RetryPolicy, number: int) -> timedelta | None:
    base = NO_TIME if policy.delay is None else literal(policy.delay)
    spread = NO_TIME if policy.jitter is None else literal(policy.jitter.to)
    if base is None or spread is None:
        return None
    backoff = policy.backoff
    if backoff is not None and backoff.linear is not None:
        base *= number
    elif backoff is not None and backoff.exponential is not None:
        base *= 2 ** (number - 1)
    return base + spread


def _function(definition: Definition, task: CallFunction) -> timedelta | None:
    if definition.function_of(task) is not None:
        return None
    match task.function.name:
        case "localFlow":
            return literal(task.with_.get("timeout"))
        case "humanTask":
            times = task_times(task)
            return times.expires if times else None
    return None


def _none(_: Definition, __: Task) -> timedelta | None:
    return NO_TIME


_MEASURES: Final[dict[type[Task], Callable[[Definition, Any], timedelta | None]]] = {
    CallFunction: _function,
    CallParallelMap: lambda definition, task: _loop(definition, task.with_.do, task.with_.in_),
    DoTask: lambda definition, task: list_bound(definition, task.do),
    EmitTask: _none,
    ForTask: lambda definition, task: _loop(definition, task.do, task.for_.in_),
    ForkTask: _fork,
    RaiseTask: _none,
    RunTask: lambda _, task: None if task.run.await_ else NO_TIME,
    SetTask: _none,
    SwitchTask: _none,
    TryTask: _try,
    WaitTask: lambda _, task: literal(task.wait),
}


def _sum(lengths: Iterable[timedelta | None]) -> timedelta | None:
    total = NO_TIME
    for each in lengths:
        if each is None:
            return None
        total += each
    return total


def _least(*lengths: timedelta | None) -> timedelta | None:
    return min((each for each in lengths if each is not None), default=None)
