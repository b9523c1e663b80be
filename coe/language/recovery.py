"""Recover from errors in a document, so that the other rules can be checked as well.

A misspelt key is read as the key that was meant, an unknown key is left out, and a task with
another error is replaced by one that does nothing. The recovered definition serves the check
alone: it is never catalogued, drawn or run.
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

# How often a document is fixed and validated again: an error can hide others.
_MAX_ROUNDS: Final = 8
# The keys of lists of tasks; an entry is an object with the task's name as its one key.
_LISTS: Final = frozenset(("do", "try", "branches"))
# The keys that the replacement of a broken task keeps.
_KEPT: Final = ("if", "then")
# Replacements for keys of `document` that have errors.
_STAND_INS: Final = {
    "dsl": "1.0.3",
    "namespace": "default",
    "name": "unnamed",
    "version": "0.0.0",
}
# Keys of a task that may lead to other tasks than its `then` does.
_FORKING: Final = frozenset(("switch", "try", "catch"))
# The code of an unreachable task: not reported where the successors of a task are unknown.
_UNREACHED: Final = "OWS022"


class _Beyond(Exception):
    """The document cannot be recovered."""


@dataclass(slots=True)
class RecoveredDocument:
    """A definition in place of a broken one."""

    definition: Definition | None = None
    # JSON pointers of the parts that were replaced or left out.
    replaced: set[str] = field(default_factory=set)
    # JSON pointers of the lists of tasks in which the successors of a task are unknown.
    ambiguous: set[str] = field(default_factory=set)
    # Whether the last round corrected misspelt keys, and the errors that this uncovered.
    respelled: bool = False
    hidden: list[Problem] = field(default_factory=list)

    def keep(self, problems: Iterable[Problem], reported: Iterable[Problem]) -> Iterator[Problem]:
        """The problems that the broken document has too, and that were not reported yet."""
        known = {(problem.line, problem.column) for problem in reported}
        for problem in (*self.hidden, *(each for each in problems if self._holds(each))):
            place = problem.line, problem.column
            if place not in known:
                yield problem

    def _holds(self, problem: Problem) -> bool:
        """Whether a problem is in a part that was not replaced."""
        path = problem.path or ""
        if problem.code == _UNREACHED and _list_of(path) in self.ambiguous:
            return False
        return not any(path == part or path.startswith(f"{part}/") for part in self.replaced)


def recover(source: Source) -> RecoveredDocument | None:
    """Recover a document that does not load; None if it cannot be recovered."""
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
    """The pointer of the list that holds a task."""
    return task.rsplit("/", 2)[0]


def _copied(value: Any, marks: Mapping[int, Any], copies: dict[int, dict[str | int, Any]]) -> Any:
    """A deep copy: an alias becomes several containers, each to be fixed alone."""
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
    """Fix the errors of one validation: misspelt keys first, for they may be all."""
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
    """Replace a broken task by one that does nothing."""
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
    """Rename an unknown key to the one that was meant, or drop it; False for other errors."""
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
    """The path of the innermost task around a location; empty for none."""
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
    """Leave a part out that is in no task, unless other parts may refer to it."""
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
    """The value at a path; None if there is none."""
    for part in path:
        try:
            data = data[part]
        except (IndexError, KeyError, TypeError):
            return None
    return data
