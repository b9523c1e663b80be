"""Two versions compared by steps: what is new, gone, changed, renamed, moved, or in another order.

Steps are matched scope by scope: by their name, then, where the name is new, by what they do. What
is left is looked for in the other scopes. A step that is renamed or moved takes what is inside it
along, and a `then` that leads to a renamed step is no change.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import Any, Final, NamedTuple

from coe.language.diff.describe import differences
from coe.language.model.definition import Definition
from coe.language.model.task import TASK_KEYS, Task

STEP_ADDED: Final = "OWS911"
STEP_REMOVED: Final = "OWS912"
STEP_CHANGED: Final = "OWS913"
STEPS_REORDERED: Final = "OWS914"
STEP_RENAMED: Final = "OWS916"
STEP_MOVED: Final = "OWS917"


class StepChange(NamedTuple):
    """One change: its code, what it is, and the pointer in the new version where it is told."""

    code: str
    message: str
    pointer: str


@dataclass(eq=False)
class _Step:
    """A step of one version; `path` are its names from the top."""

    name: str
    path: str
    pointer: str
    own: dict[str, Any]
    index: int
    scopes: dict[str, list[_Step]] = field(default_factory=dict)

    def walk(self) -> Iterator[_Step]:
        yield self
        for steps in self.scopes.values():
            for step in steps:
                yield from step.walk()

    @cached_property
    def does(self) -> str:
        """What it does with all that is inside it, without its name, as a digest."""
        inner = {
            place: [[step.name, step.does] for step in steps]
            for place, steps in self.scopes.items()
        }
        text = json.dumps([self.own, inner], sort_keys=True)
        return f"{len(text)}:{sha256(text.encode()).hexdigest()}"

    @cached_property
    def leaves(self) -> frozenset[str]:
        """The values that it holds, each with its place, and the names of the steps inside."""
        inside = {place: [each.name for each in steps] for place, steps in self.scopes.items()}
        return frozenset(_leaves([self.own, inside], ""))

    @property
    def telling(self) -> bool:
        """Whether it does enough for another that does the same to be no chance."""
        return int(self.does.partition(":")[0]) > _TELLING


def step_changes(old: Definition, new: Definition) -> Iterator[StepChange]:
    """What differs between the steps of two versions, in the order of the new one."""
    steps = _steps(new)
    matching = _Matching()
    matching.scope(_steps(old), steps, "/do", "")
    matching.elsewhere()
    yield from matching.told(steps)


def _steps(definition: Definition) -> list[_Step]:
    return [_step(task, definition, task.name) for task in definition.do]


def _step(task: Task, definition: Definition, path: str) -> _Step:
    data: Any = definition.source.data
    for token in _tokens(task.pointer):
        data = data[int(token)] if isinstance(data, list) else data[token]
    own: dict[str, Any] = json.loads(json.dumps(data))
    own.pop("metadata", None)
    index = int(_tokens(task.pointer)[-2])
    step = _Step(task.name, path, task.pointer, own, index)
    for scope in task.scopes():
        *parents, last = _tokens(scope.pointer)
        inner: Any = own
        for key in parents:
            inner = inner[key]
        inner.pop(last, None)
        prefix = "/".join((path, *_tokens(scope.pointer), ""))
        step.scopes[scope.pointer] = [
            _step(child, definition, f"{prefix}{child.name}") for child in scope.tasks
        ]
    return step


def _leaves(data: Any, place: str) -> Iterator[str]:
    if isinstance(data, dict):
        for key, value in data.items():
            yield from _leaves(value, f"{place}/{key}")
    elif isinstance(data, list):
        for value in data:
            yield from _leaves(value, f"{place}/*")
    else:
        yield f"{place} {data!r}"


def _tokens(pointer: str) -> list[str]:
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]


# ---------------------------------------------------------------- matching
@dataclass(slots=True)
class _Matching:
    """Which step of the new version is which of the old one."""

    pairs: dict[str, _Step] = field(default_factory=dict)  # by the new one's pointer
    renamed: dict[str, dict[str, str]] = field(default_factory=dict)  # by the new one's pointer
    moved: set[str] = field(default_factory=set)
    reordered: list[tuple[str, str]] = field(default_factory=list)
    old_left: list[_Step] = field(default_factory=list)
    new_left: list[_Step] = field(default_factory=list)
    around: dict[int, str] = field(default_factory=dict)
    _opened: set[_Step] = field(default_factory=set)

    def scope(self, old: Sequence[_Step], new: Sequence[_Step], place: str, owner: str) -> None:
        """Match the steps of one scope; `place` is its pointer in the new version."""
        by_name = {step.name: step for step in reversed(old)}
        found: list[tuple[_Step, _Step]] = []
        open_new: list[_Step] = []
        for step in new:
            match = by_name.pop(step.name, None)
            if match is None:
                open_new.append(step)
            else:
                found.append((match, step))
        names: dict[str, str] = {}
        for match, step in _renamed(list(by_name.values()), list(open_new)):
            del by_name[match.name]
            open_new.remove(step)
            names[match.name] = step.name
            found.append((match, step))
        self.new_left += open_new
        self.old_left += [step for step in old if by_name.get(step.name) is step]
        self.around |= {id(step): place for step in by_name.values()}
        found.sort(key=lambda pair: pair[1].index)
        order = [match.index for match, _ in found]
        if order != sorted(order):
            self.reordered.append((place, owner))
        for match, step in found:
            self._take(match, step, names)

    def _take(self, old: _Step, new: _Step, names: dict[str, str]) -> None:
        self.pairs[new.pointer] = old
        self.renamed[new.pointer] = names
        for place in dict.fromkeys((*old.scopes, *new.scopes)):
            before, after = old.scopes.get(place, []), new.scopes.get(place, [])
            self.scope(before, after, new.pointer + place, new.path)

    def elsewhere(self) -> None:
        """Match what is left in one scope with what is left in another."""
        while True:
            while any(self._look(alike) for alike in (_same, _alike, _called)):
                pass
            opened = [self._open(left) for left in (self.old_left, self.new_left)]
            if not any(opened):
                return

    def _open(self, left: list[_Step]) -> bool:
        """Look inside what is left: a step may have gone into a new group, or out of an old one."""
        inner: list[_Step] = []
        for step in left:
            if step not in self._opened:
                self._opened.add(step)
                children = [child for steps in step.scopes.values() for child in steps]
                self.around |= {id(child): self.around.get(id(step), "/do") for child in children}
                inner += children
        left += inner
        return bool(inner)

    def _look(self, alike: Callable[[_Step], str]) -> bool:
        """Match by one likeness; whether anything was found."""
        known: dict[str, _Step] = {}
        for step in reversed(self.old_left):
            if key := alike(step):
                known[key] = step
        found = []
        for step in self.new_left:
            match = known.pop(alike(step), None)
            if match is not None and _comparable(match, step):
                found.append((match, step))
        for old, new in found:
            if old not in self.old_left or new not in self.new_left:
                continue  # what is around it was matched just now
            self._drop(self.old_left, old)
            self._drop(self.new_left, new)
            self.moved.add(new.pointer)
            self._take(old, new, {})
        return bool(found)

    @staticmethod
    def _drop(left: list[_Step], step: _Step) -> None:
        """Take a step out, and what is inside it, which is matched with it."""
        inside = {id(each) for each in step.walk()}
        left[:] = [each for each in left if id(each) not in inside]

    # ------------------------------------------------------------ telling
    def told(self, new: Sequence[_Step]) -> Iterator[StepChange]:
        """Everything that was found."""
        for top in new:
            for step in top.walk():
                yield from self._step(step)
        for step in self.old_left:
            message = f"step `{step.path}` is gone"
            yield StepChange(STEP_REMOVED, message, self.around[id(step)])
        for place, owner in self.reordered:
            where = f" in `{owner}`" if owner else ""
            yield StepChange(STEPS_REORDERED, f"steps come in another order{where}", place)

    def _step(self, step: _Step) -> Iterator[StepChange]:
        old = self.pairs.get(step.pointer)
        if old is None:
            yield StepChange(STEP_ADDED, f"step `{step.path}` is new", step.pointer)
            return
        if step.pointer in self.moved:
            message = f"step `{old.path}` has moved to `{step.path}`"
            yield StepChange(STEP_MOVED, message, step.pointer)
        elif old.name != step.name:
            message = f"step `{old.path}` is now called `{step.name}`"
            yield StepChange(STEP_RENAMED, message, step.pointer)
        before = _led(old.own, self.renamed.get(step.pointer, {}))
        if before != step.own:
            what = "; ".join(differences(before, step.own))
            message = f"step `{step.path}` does something else: {what}"
            yield StepChange(STEP_CHANGED, message, step.pointer)


def _renamed(old: Sequence[_Step], new: Sequence[_Step]) -> Iterator[tuple[_Step, _Step]]:
    """Steps of one scope that go on under another name: they do the same, or nearly the same."""
    same: defaultdict[str, list[_Step]] = defaultdict(list)
    for step in old:
        same[step.does].append(step)
    open_new = []
    for step in new:
        if same[step.does]:
            yield same[step.does].pop(), step
        else:
            open_new.append(step)
    left = [step for steps in same.values() for step in steps]
    if len(left) * len(open_new) > _MOST_PAIRS:
        return
    for step in open_new:
        best = max(left, key=lambda each: _likeness(each, step), default=None)
        if best is not None and _likeness(best, step) >= _LIKE:
            left.remove(best)
            yield best, step


def _likeness(old: _Step, new: _Step) -> float:
    """How much two steps have in common, from 0 to 1; nothing where they are of two types."""
    if not _comparable(old, new) or old.own.get("call") != new.own.get("call"):
        return 0.0
    return len(old.leaves & new.leaves) / max(len(old.leaves | new.leaves), 1)


def _same(step: _Step) -> str:
    return f"{step.name} {step.does}"


def _alike(step: _Step) -> str:
    return step.does if step.telling else ""


def _called(step: _Step) -> str:
    return step.name


def _comparable(old: _Step, new: _Step) -> bool:
    """Whether two are of one type of task, so that one can be what became of the other."""
    return bool(set(old.own) & set(new.own) & {*TASK_KEYS, "catch", "foreach"}) or (
        old.scopes.keys() == new.scopes.keys() != set()
    )


# What two steps must have in common for the one to be the other with a new name, and how many are
# compared so.
_LIKE: Final = 0.6
_MOST_PAIRS: Final = 10_000
# Fewer characters than this may be the same by chance.
_TELLING: Final = 60


def _led(own: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """A step's data, with the new names of the steps that it leads to."""
    found: dict[str, Any] = json.loads(json.dumps(own))
    holders: list[Any] = [found, found.get("catch")]
    cases = found.get("switch")
    for entry in cases if isinstance(cases, list) else ():
        holders += entry.values()
    for holder in holders:
        if isinstance(holder, dict) and holder.get("then") in names:
            holder["then"] = names[holder["then"]]
    return found
