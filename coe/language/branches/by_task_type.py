"""The outcomes of one task by its type, which `coe.language.branches` collects."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from coe.json_types import JSON
from coe.language.branches import outcomes
from coe.language.branches.duration_bounds import (
    NO_TIME,
    TaskTimes,
    literal,
    retry_of,
    task_times,
    work_bound,
)
from coe.language.branches.successors import never_ends, raises
from coe.language.durations import iso
from coe.language.model.calls import CallFunction, CallParallelMap
from coe.language.model.components import RetryPolicy
from coe.language.model.definition import Definition
from coe.language.model.events import EventFilter
from coe.language.model.task import Task
from coe.language.model.task_types import ForkTask, ForTask, ListenTask, SwitchTask, TryTask

# The task types that call other systems or people: tests stub them.
_STUBBED_KINDS: Final = ("call", "run")


@dataclass(frozen=True, slots=True)
class ReachableStep:
    """A task that a run can reach.

    `pointer` is the task's. `key` is the pointer without indexes, so that it stays the same when
    tasks are inserted before it. `place` is the pointer to show: of the task, or of a part of it.
    """

    pointer: str
    key: str
    name: str
    place: str
    line: int | None
    column: int | None


@dataclass(frozen=True, slots=True)
class Branch(ReachableStep):
    """An outcome (`coe.language.branches.outcomes`) of a task, and how a test reaches it."""

    outcome: str
    how: str

    def __str__(self) -> str:
        """The task and the outcome, such as `openInvoice tries again`."""
        return f"{self.name} {self.outcome}"


@dataclass(frozen=True, slots=True)
class TaskAt:
    """A task, its key, and the time limit that the tasks around it leave it (None for no limit)."""

    definition: Definition
    task: Task
    key: str
    left: timedelta | None

    def branch(self, outcome: str, how: str, part: str = "", place: str | None = None) -> Branch:
        """An outcome of the task; `part` is the relative pointer of the part that decides on it."""
        pointer = self.task.pointer
        place = pointer + part if place is None else place
        line, column = self.definition.source.locate(place) or (None, None)
        return Branch(pointer, self.key, self.task.name, place, line, column, outcome, how)


def outcomes_of(at: TaskAt) -> Iterator[Branch]:
    """The outcomes of the task's type."""
    find = _OUTCOMES.get(type(at.task))
    if find is not None:
        yield from find(at, at.task)


def condition_outcomes(at: TaskAt) -> tuple[list[Branch], bool]:
    """The outcomes of the task's `if`, and whether the task can run at all."""
    condition = at.task.if_
    if condition is None or condition == "true":
        return [], True
    if condition == "false":
        return [], False
    found = [
        at.branch(outcomes.NOT_SKIPPED, f"let `{condition}` be true", "/if"),
        at.branch(outcomes.SKIPPED, f"let `{condition}` be false", "/if"),
    ]
    return found, True


def limit_outcomes(
    at: TaskAt, kind: str, limit: timedelta | None, bound: timedelta | None, place: str
) -> list[Branch]:
    """The outcomes of a time limit; none if the work always keeps it.

    `bound` is the longest time that the work can take, None if nothing bounds it.
    """
    if bound == NO_TIME or (bound is not None and limit is not None and bound <= limit):
        return []
    if at.left is not None and limit is not None and at.left <= limit:
        return []
    kept, passed = outcomes.limits(kind)
    silent = f"`{first_stubbed(at.task)}: {{silent: true}}`"
    return [
        at.branch(kept, "let everything inside be answered in time", place=place),
        at.branch(passed, f"let nothing come: {silent}", place=place),
    ]


def first_stubbed(task: Task) -> str:
    """The name of the first step inside a task that a test can stub."""
    return next((each.name for each in task.walk() if each.kind in _STUBBED_KINDS), task.name)


# ---------------------------------------------------------------- control
def _switch(at: TaskAt, task: SwitchTask) -> Iterator[Branch]:
    for case in task.switch:
        how = "let no other case match" if case.when is None else f"let `{case.when}` be true"
        place = case.pointer
        yield at.branch(outcomes.case(case.name), how, place=place)
    if all(case.when is not None for case in task.switch):
        yield at.branch(outcomes.NO_CASE, "let no case match", "/switch")


def _for(at: TaskAt, task: ForTask) -> Iterator[Branch]:
    yield from _items(at, task.for_.in_, "/for/in")
    if task.while_ is not None and task.while_ not in ("true", "false"):
        yield at.branch(outcomes.STOPPED, f"let `{task.while_}` be false before the end", "/while")


def _parallel_map(at: TaskAt, task: CallParallelMap) -> Iterator[Branch]:
    yield from _items(at, task.with_.in_, "/with/in")


def _items(at: TaskAt, items: JSON, part: str) -> Iterator[Branch]:
    """Without and with items; a literal list has only one of the two outcomes."""
    if not isinstance(items, list):
        yield at.branch(outcomes.NO_ITEMS, f"let `{items}` be []", part)
    if items != []:
        yield at.branch(outcomes.ITEMS, "let there be an item", part)


def _fork(at: TaskAt, task: ForkTask) -> Iterator[Branch]:
    if not task.fork.compete or len(task.fork.branches) == 1:
        return
    for branch in task.fork.branches:
        if not raises(branch):
            others = [first_stubbed(each) for each in task.fork.branches if each is not branch]
            how = f"let the others be later: `{others[0]}: {{after: PT1H, …}}`"
            yield at.branch(outcomes.wins(branch.name), how, place=branch.pointer)


# ---------------------------------------------------------------- errors
def _try(at: TaskAt, task: TryTask) -> Iterator[Branch]:
    catch, policy = task.catch, retry_of(at.definition, task)
    leaf = next((first_stubbed(each) for each in task.try_), task.name)
    fault = f"`{leaf}: {{fault: …}}`"
    if not never_ends(task.try_):
        yield at.branch(outcomes.SUCCEEDS, "let all that is tried succeed", "/try")
    filtered = [part for part in (catch.when, catch.except_when) if part is not None]
    if filtered or (catch.errors is not None and catch.errors.with_ is not None):
        how = f"let an error come that `catch` does not take: {fault}"
        yield at.branch(outcomes.UNCAUGHT, how, "/catch")
    if policy is None:
        yield at.branch(outcomes.CAUGHT, f"let an error come: {fault}", "/catch")
    else:
        yield from _retries(at, policy, leaf)


def _retries(at: TaskAt, policy: RetryPolicy, leaf: str) -> Iterator[Branch]:
    attempts = policy.limit.attempt if policy.limit else None
    count = attempts.count if attempts else None
    if count != 0:
        how = f"let it fail once: `{leaf}: [{{fault: …}}, {{output: …}}]`"
        yield at.branch(outcomes.RETRIED, how, "/catch/retry")
    condition = policy.when or policy.except_when
    if condition is not None and count != 0:
        how = f"let an error come that is not tried again (`{condition}`)"
        yield at.branch(outcomes.UNRETRIED, how, "/catch/retry")
    if count is not None or (policy.limit and policy.limit.duration is not None):
        how = f"let it fail each time: `{leaf}: {{fault: …}}`"
        yield at.branch(outcomes.SPENT, how, "/catch/retry")
    if attempts is not None and attempts.duration is not None and count != 0:
        limit, place = literal(attempts.duration), at.task.pointer + "/catch/retry"
        yield from limit_outcomes(at, "attempt", limit, work_bound(at.definition, at.task), place)


# ---------------------------------------------------------------- events
def _listen(at: TaskAt, task: ListenTask) -> Iterator[Branch]:
    wanted = task.listen.to
    if wanted.any is None:
        return
    filters = wanted.any
    if len(filters) > 1 or (wanted.until is not None and filters):
        for number, item in enumerate(filters, start=1):
            how = f"send an event{_of_type(item)} under `events`"
            yield at.branch(outcomes.takes(number), how, f"/listen/to/any/{number - 1}")
    if wanted.until is not None and not isinstance(wanted.until, str):
        how = "send what `until` waits for before any other event"
        yield at.branch(outcomes.NO_EVENT, how, "/listen/to/until")


def _of_type(item: EventFilter) -> str:
    return f" of type {item.with_.type}" if item.with_.type else ""


# ---------------------------------------------------------------- functions
def _function(at: TaskAt, task: CallFunction) -> Iterator[Branch]:
    if at.definition.function_of(task) is not None:
        return
    match task.function.name:
        case "humanTask":
            yield from _human(at, task)
        case "localFlow" if task.with_.get("timeout") is not None:
            limit = literal(task.with_["timeout"])
            place = at.task.pointer + "/with/timeout"
            yield from limit_outcomes(at, "call", limit, None, place)


def _human(at: TaskAt, task: CallFunction) -> Iterator[Branch]:
    declared = task.with_.get("outcomes")
    given = _plain(declared)
    times = task_times(task)
    expires = "dueIn" in task.with_
    for index, outcome in enumerate(given):
        how = f"`{task.name}: {{outcome: {outcome}}}`"
        yield at.branch(outcomes.decides(outcome), how, f"/with/outcomes/{index}")
    if not given and expires:
        yield at.branch(outcomes.ANSWERED, f"`{task.name}: {{}}`", "/with")
    for number, (after, index) in enumerate(_stages(task, times), start=1):
        if _comes(at, after):
            when = f"after {_text(after)}" if after else "late"
            how = f"let it be answered {when}: `{task.name}: {{outcome: …, after: …}}`"
            yield at.branch(outcomes.escalates(number), how, f"/with/escalate/{index}")
    if expires and _comes(at, times.expires if times else None):
        yield at.branch(outcomes.EXPIRES, f"`{task.name}: {{silent: true}}`", "/with/dueIn")


def _stages(
    task: CallFunction, times: TaskTimes | None
) -> tuple[tuple[timedelta | None, int], ...]:
    """When each stage of the escalation fires, if that is known, and its index."""
    if times is not None:
        return times.stages
    chain = task.with_.get("escalate")
    return tuple((None, index) for index, _ in enumerate(chain if isinstance(chain, list) else []))


def _plain(declared: JSON) -> list[str]:
    """The outcomes, if all of them are literal."""
    given = [str(each) for each in declared] if isinstance(declared, list) else []
    return [] if any("${" in each for each in given) else given


def _comes(at: TaskAt, due: timedelta | None) -> bool:
    """Whether the tasks around leave enough time until something is due."""
    return at.left is None or due is None or due < at.left


def _text(length: timedelta) -> str:
    return iso(round(length.total_seconds() * 1000))


_OUTCOMES: Final[dict[type[Task], Callable[[TaskAt, Any], Iterator[Branch]]]] = {
    CallFunction: _function,
    CallParallelMap: _parallel_map,
    ForTask: _for,
    ForkTask: _fork,
    ListenTask: _listen,
    SwitchTask: _switch,
    TryTask: _try,
}
