"""Reading on past slips: a broken document made sound enough that the other rules can be asked.

A misspelt key is taken for the one that was meant, an unknown one is left out, and a task with
another slip is taken for one that does nothing. What comes of it is looked at and thrown away:
it is never catalogued, drawn or run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import ValidationError

from coe.errors import Problem
from coe.language.allowed_keys import keys_at
from coe.language.load import misspelt_type, path_of, problems_of
from coe.language.model.definition import Definition
from coe.language.model.task import TASK_KEYS
from coe.language.source import Source, point
from coe.language.suggestions import closest

# Most times that a document is mended and read again: a slip can hide others.
_MAX_ROUNDS: Final = 8
# What lists of tasks hang on; an entry is an object with the task's name as its one key.
_LISTS: Final = frozenset(("do", "try", "branches"))
# A task that does nothing, and the keys of the broken one that it keeps.
_KEPT: Final = ("if", "then")
# Keys of the document that stand for something else where they are wrong.
_STAND_INS: Final = {
    "dsl": "1.0.3",
    "namespace": "default",
    "name": "unnamed",
    "version": "0.0.0",
}
# Keys of a task that may lead elsewhere than its `then` does.
_FORKING: Final = frozenset(("switch", "try", "catch"))
# What is never reached: not to be said where a task no longer tells where it leads.
_UNREACHED: Final = "OWS022"


class _Beyond(Exception):
    """There is no mending this."""


@dataclass(slots=True)
class RecoveredDocument:
    """A definition that stands for a broken one."""

    definition: Definition | None = None
    # JSON pointers of the parts that are not what was written.
    replaced: set[str] = field(default_factory=set)
    # JSON pointers of the lists of tasks in which one no longer tells where it leads.
    ambiguous: set[str] = field(default_factory=set)
    # Whether the latest round put spelling right, and the slips that came to light by that.
    respelled: bool = False
    hidden: list[Problem] = field(default_factory=list)

    def keep(self, problems: Iterable[Problem], reported: Iterable[Problem]) -> Iterator[Problem]:
        """Of the problems found in it those that the broken document has, and were not told yet."""
        known = {(problem.line, problem.column) for problem in reported}
        for problem in (*self.hidden, *(each for each in problems if self._holds(each))):
            place = problem.line, problem.column
            if place not in known:
                yield problem

    def _holds(self, problem: Problem) -> bool:
        """Whether a problem is of what was written."""
        path = problem.path or ""
        if problem.code == _UNREACHED and _list_of(path) in self.ambiguous:
            return False
        return not any(path == part or path.startswith(f"{part}/") for part in self.replaced)


def recover(source: Source) -> RecoveredDocument | None:
    """Make a document sound that does not load; None if too little of it is left to look at."""
    marks: dict[int, dict[str | int, Any]] = {}
    twin = Source(_copied(source.data, source.marks, marks), source.text, source.file, marks)
    recovered = RecoveredDocument()
    for _ in range(_MAX_ROUNDS):
        try:
            definition = Definition.model_validate(twin.data)
        except ValidationError as error:
            if recovered.respelled:
                recovered.hidden += problems_of(error, twin)
            try:
                _fix_all(twin, error.errors(include_url=False), recovered)
            except _Beyond:
                return None
        else:
            definition.put(twin)
            recovered.definition = definition
            return recovered
    return None


def _list_of(task: str) -> str:
    """The pointer of the list that a task stands in."""
    return task.rsplit("/", 2)[0]


def _copied(value: Any, marks: Mapping[int, Any], copies: dict[int, dict[str | int, Any]]) -> Any:
    """The same containers anew, so that an alias is not mended in all its places at once."""
    copy: Any
    if isinstance(value, dict):
        copy = {key: _copied(inner, marks, copies) for key, inner in value.items()}
    elif isinstance(value, list):
        copy = [_copied(inner, marks, copies) for inner in value]
    else:
        return value
    copies[id(copy)] = dict(marks.get(id(value), {}))
    return copy


def _fix_all(twin: Source, details: Sequence[Any], recovered: RecoveredDocument) -> None:
    """Take away what the errors of one validation are about; spelling first, it may be all."""
    data: Any = twin.data
    respelled = [_respell(twin, detail) for detail in details]
    recovered.respelled = any(respelled)
    if recovered.respelled:
        return
    tasks: dict[str, list[Any]] = {}
    for detail in details:
        path = path_of(detail["loc"])
        task = _task_around(data, path)
        if task:
            tasks[point(*task)] = task
        elif (
            path[0] == "document" and path[-1] in _STAND_INS and isinstance(data["document"], dict)
        ):
            data["document"][path[-1]] = _STAND_INS[str(path[-1])]
            recovered.replaced.add(point(*path))
        else:
            recovered.replaced.add(_leave_out(data, path))
    for task in tasks.values():
        _empty(data, task, recovered)


def _empty(data: Any, task: list[Any], recovered: RecoveredDocument) -> None:
    """Put a task that does nothing in the place of a broken one."""
    *above, name = task
    holder = _at(data, above)
    old = holder[name] if isinstance(holder[name], dict) else {}
    pointer = point(*task)
    if pointer in recovered.replaced:
        raise _Beyond
    holder[name] = {"set": {}} | {key: old[key] for key in _KEPT if isinstance(old.get(key), str)}
    recovered.replaced.add(pointer)
    if _FORKING & set(old):
        recovered.ambiguous.add(_list_of(pointer))


def _respell(twin: Source, detail: Any) -> bool:
    """Take an unknown key for the one that is meant, or leave it out; false for other slips."""
    path = path_of(detail["loc"])
    known: Sequence[str] = TASK_KEYS
    if detail["type"] == "task_type":
        above, key = path, misspelt_type(detail["input"])
    elif detail["type"] == "extra_forbidden":
        *above, last = path
        key, known = str(last), keys_at(Definition, detail["loc"][:-1])
    else:
        return False
    holder = _at(twin.data, above)
    if key is None or not isinstance(holder, dict) or key not in holder:
        return False
    meant = closest(key, known)
    value = holder.pop(key)
    if meant and meant not in holder:
        holder[meant] = value
        entries: Any = twin.marks.get(id(holder), {})
        if key in entries:
            entries[meant] = entries[key]
    return True


def _task_around(data: Any, path: list[Any]) -> list[Any]:
    """The way to the innermost task that a location is in; empty for none."""
    for end in range(len(path), 2, -1):
        *above, index, name = path[:end]
        entry = _at(data, [*above, index])
        if (
            isinstance(index, int)
            and above[-1] in _LISTS
            and isinstance(entry, dict)
            and list(entry) == [name]
        ):
            return path[:end]
    return []


def _leave_out(data: Any, path: list[Any]) -> str:
    """Leave a part out that no task holds; what others may refer to cannot be missed."""
    while path and _at(data, path) is None:
        path = path[:-1]
    if (
        not path
        or path[0] == "do"
        or (path[0] == "use" and len(path) <= len(("use", "of", "name")))
    ):
        raise _Beyond
    *above, key = path
    holder = _at(data, above)
    if not isinstance(holder, dict) or (key in _STAND_INS and above == ["document"]):
        raise _Beyond
    del holder[key]
    return point(*path)


def _at(data: Any, path: list[Any]) -> Any:
    """What a path leads to; None if nowhere."""
    for part in path:
        try:
            data = data[part]
        except (IndexError, KeyError, TypeError):
            return None
    return data
