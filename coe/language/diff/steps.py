"""Compare the steps of two versions: added, removed, changed, renamed, moved or reordered.

Steps are matched scope by scope: by their name, and steps of a new name by their content. The
others are matched across scopes. A renamed or moved step takes the steps inside it along, and a
`then` that names a renamed step is not a change.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from coe.language.diff.describe import changed_keys
from coe.language.diff.step_tree import ComparedStep, top_steps
from coe.language.model.definition import Definition
from coe.language.model.task import TASK_KEYS

STEP_ADDED: Final = "OWS911"
STEP_REMOVED: Final = "OWS912"
STEP_CHANGED: Final = "OWS913"
STEPS_REORDERED: Final = "OWS914"
STEP_RENAMED: Final = "OWS916"
STEP_MOVED: Final = "OWS917"


class StepDifference(NamedTuple):
    """One change: its code, its message, and its pointer in the new version."""

    code: str
    message: str
    pointer: str


def step_changes(old: Definition, new: Definition) -> Iterator[StepDifference]:
    """The differences between the steps of two versions, in the order of the new one."""
    steps = top_steps(new)
    matching = _Matching()
    matching.scope(top_steps(old), steps, "/do", "")
    matching.elsewhere()
    yield from matching.differences(steps)


# ---------------------------------------------------------------- matching
@dataclass(slots=True)
class _Matching:
    """The steps of the new version, each with its step of the old version."""

    pairs: dict[str, ComparedStep] = field(default_factory=dict)  # by the new one's pointer
    renamed: dict[str, dict[str, str]] = field(default_factory=dict)  # by the new one's pointer
    moved: set[str] = field(default_factory=set)
    reordered: list[tuple[str, str]] = field(default_factory=list)
    old_left: list[ComparedStep] = field(default_factory=list)
    new_left: list[ComparedStep] = field(default_factory=list)
    around: dict[int, str] = field(default_factory=dict)
    _opened: set[ComparedStep] = field(default_factory=set)

    def scope(
        self, old: Sequence[ComparedStep], new: Sequence[ComparedStep], place: str, owner: str
    ) -> None:
        """Match the steps of one scope; `place` is its pointer in the new version."""
        by_name = {step.name: step for step in reversed(old)}
        found: list[tuple[ComparedStep, ComparedStep]] = []
        open_new: list[ComparedStep] = []
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

    def _take(self, old: ComparedStep, new: ComparedStep, names: dict[str, str]) -> None:
        self.pairs[new.pointer] = old
        self.renamed[new.pointer] = names
        for place in dict.fromkeys((*old.scopes, *new.scopes)):
            before, after = old.scopes.get(place, []), new.scopes.get(place, [])
            self.scope(before, after, new.pointer + place, new.path)

    def elsewhere(self) -> None:
        """Match the steps that are left in one scope with those left in another."""
        while True:
            while any(self._look(alike) for alike in (_same, _alike, _called)):
                pass
            opened = [self._open(left) for left in (self.old_left, self.new_left)]
            if not any(opened):
                return

    def _open(self, left: list[ComparedStep]) -> bool:
        """Add the steps inside those left: a step may have moved into or out of a group."""
        inner: list[ComparedStep] = []
        for step in left:
            if step not in self._opened:
                self._opened.add(step)
                children = [child for steps in step.scopes.values() for child in steps]
                self.around |= {id(child): self.around.get(id(step), "/do") for child in children}
                inner += children
        left += inner
        return bool(inner)

    def _look(self, alike: Callable[[ComparedStep], str]) -> bool:
        """Match steps of the same key; returns whether any matched."""
        known: dict[str, ComparedStep] = {}
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
                continue  # a step around it was matched just now
            self._drop(self.old_left, old)
            self._drop(self.new_left, new)
            self.moved.add(new.pointer)
            self._take(old, new, {})
        return bool(found)

    @staticmethod
    def _drop(left: list[ComparedStep], step: ComparedStep) -> None:
        """Remove a step, and the steps inside it, which are matched with it."""
        inside = {id(each) for each in step.walk()}
        left[:] = [each for each in left if id(each) not in inside]

    # ------------------------------------------------------------ differences
    def differences(self, new: Sequence[ComparedStep]) -> Iterator[StepDifference]:
        """The differences that the matching shows."""
        for top in new:
            for step in top.walk():
                yield from self._step(step)
        for step in self.old_left:
            message = f"step `{step.path}` is gone"
            yield StepDifference(STEP_REMOVED, message, self.around[id(step)])
        for place, owner in self.reordered:
            where = f" in `{owner}`" if owner else ""
            yield StepDifference(STEPS_REORDERED, f"steps come in another order{where}", place)

    def _step(self, step: ComparedStep) -> Iterator[StepDifference]:
        old = self.pairs.get(step.pointer)
        if old is None:
            yield StepDifference(STEP_ADDED, f"step `{step.path}` is new", step.pointer)
            return
        if step.pointer in self.moved:
            message = f"step `{old.path}` has moved to `{step.path}`"
            yield StepDifference(STEP_MOVED, message, step.pointer)
        elif old.name != step.name:
            message = f"step `{old.path}` is now called `{step.name}`"
            yield StepDifference(STEP_RENAMED, message, step.pointer)
        before = _with_new_names(old.own, self.renamed.get(step.pointer, {}))
        if before != step.own:
            what = "; ".join(changed_keys(before, step.own))
            message = f"step `{step.path}` has changed: {what}"
            yield StepDifference(STEP_CHANGED, message, step.pointer)


def _renamed(
    old: Sequence[ComparedStep], new: Sequence[ComparedStep]
) -> Iterator[tuple[ComparedStep, ComparedStep]]:
    """The renamed steps of one scope: their content is the same, or nearly the same."""
    same: defaultdict[str, list[ComparedStep]] = defaultdict(list)
    for step in old:
        same[step.content].append(step)
    open_new = []
    for step in new:
        if same[step.content]:
            yield same[step.content].pop(), step
        else:
            open_new.append(step)
    left = [step for steps in same.values() for step in steps]
    if len(left) * len(open_new) > _MAX_PAIRS:
        return
    for step in open_new:
        best = max(left, key=lambda each: _likeness(each, step), default=None)
        if best is not None and _likeness(best, step) >= _MIN_LIKENESS:
            left.remove(best)
            yield best, step


def _likeness(old: ComparedStep, new: ComparedStep) -> float:
    """The share of two steps' values that is equal, from 0 to 1; 0 for two types of task."""
    if not _comparable(old, new) or old.own.get("call") != new.own.get("call"):
        return 0.0
    return len(old.leaves & new.leaves) / max(len(old.leaves | new.leaves), 1)


def _same(step: ComparedStep) -> str:
    return f"{step.name} {step.content}"


def _alike(step: ComparedStep) -> str:
    return step.content if step.is_distinctive else ""


def _called(step: ComparedStep) -> str:
    return step.name


def _comparable(old: ComparedStep, new: ComparedStep) -> bool:
    """Whether two steps have the same type of task, so that one can be a version of the other."""
    return bool(set(old.own) & set(new.own) & {*TASK_KEYS, "catch", "foreach"}) or (
        old.scopes.keys() == new.scopes.keys() != set()
    )


# The likeness from which a step counts as renamed, and the most pairs that are compared for it.
_MIN_LIKENESS: Final = 0.6
_MAX_PAIRS: Final = 10_000


def _with_new_names(own: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """A step's data, with the new names of the steps that its `then` names."""
    found: dict[str, Any] = json.loads(json.dumps(own))
    holders: list[Any] = [found, found.get("catch")]
    cases = found.get("switch")
    for entry in cases if isinstance(cases, list) else ():
        holders += entry.values()
    for holder in holders:
        if isinstance(holder, dict) and holder.get("then") in names:
            holder["then"] = names[holder["then"]]
    return found
