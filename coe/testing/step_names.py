"""The names in a suite: unknown steps, duplicate tests, and answers that do not fit a step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from coe.errors import Problem
from coe.json_types import JSON
from coe.language.model.calls import CallFunction
from coe.language.model.definition import Definition
from coe.language.model.task import Task
from coe.language.source import point
from coe.language.suggestions import did_you_mean
from coe.testing.suite_format import WrittenSuite

_CALLING = ("call", "run")
_HUMAN = frozenset({"outcome", "answer", "reason", "by"})
_CALL = frozenset({"output", "fault", "error"})


def name_problems(written: WrittenSuite, definitions: Sequence[Definition]) -> list[Problem]:
    """The problems with the names in a suite, located and sorted."""
    tasks: dict[str, list[Task]] = {}
    for definition in definitions:
        for task in definition.walk():
            tasks.setdefault(task.name, []).append(task)
            tasks.setdefault(task.pointer, []).append(task)
    found = [*_duplicates(written)]
    for index, test in enumerate(written.tests):
        place = point("tests", index)
        found += [*_stubs(test, tasks, place), *_expected(test.get("expect"), tasks, place)]
    located = [written.source.located(each) for each in found]
    return sorted(located, key=lambda each: (each.line or 0, each.column or 0))


def _duplicates(written: WrittenSuite) -> Iterator[Problem]:
    seen: set[JSON] = set()
    for index, test in enumerate(written.tests):
        name = str(test.get("name"))
        if name in seen:
            message = f"a second test with the name `{name}`"
            yield Problem("INPUT_TESTS", message, path=point("tests", index, "name"))
        seen.add(name)


def _stubs(
    test: Mapping[str, JSON], tasks: Mapping[str, Sequence[Task]], place: str
) -> Iterator[Problem]:
    stubs = test.get("stubs")
    for name, answers in stubs.items() if isinstance(stubs, dict) else ():
        path = place + point("stubs", name)
        kinds = tasks.get(name)
        if kinds is None:
            calling = [n for n, each in tasks.items() if "/" not in n and each[0].kind in _CALLING]
            message = f"there is no step `{name}`{did_you_mean(name, calling)}"
            yield Problem("INPUT_TESTS", message, path=path)
        elif all(task.kind not in _CALLING for task in kinds):
            message = f"`{name}` makes no call, so it takes no answer"
            help = "events go under `events`; a `wait` passes by itself"
            yield Problem("INPUT_TESTS", message, path=path, help=help)
        else:
            for answer in answers if isinstance(answers, list) else [answers]:
                yield from _unfit(name, answer, kinds, path)


def _unfit(name: str, answer: JSON, kinds: Sequence[Task], path: str) -> Iterator[Problem]:
    """A human answer for a call, or the answer of a call for a human task."""
    given = answer.keys() if isinstance(answer, dict) else set()
    humans = [_is_human(task) for task in kinds]
    if all(humans) and given & _CALL:
        wrong, right = min(given & _CALL), "outcome, answer, reason, by, after or silent"
    elif not any(humans) and given & _HUMAN:
        wrong, right = min(given & _HUMAN), "output, fault, error, after or silent"
    else:
        return
    kind = "a human task" if all(humans) else "a call"
    message = f"`{name}` is {kind}: `{wrong}` does not fit"
    yield Problem("INPUT_TESTS", message, path=path, help=f"give {right}")


def _is_human(task: Task) -> bool:
    return isinstance(task, CallFunction) and task.function.name == "humanTask"


def _expected(expect: JSON, tasks: Mapping[str, Sequence[Task]], place: str) -> Iterator[Problem]:
    for path, name in _named(expect if isinstance(expect, dict) else {}):
        if name not in tasks:
            known = [known for known in tasks if "/" not in known]
            message = f"there is no step `{name}`{did_you_mean(name, known)}"
            yield Problem("INPUT_TESTS", message, path=f"{place}/expect{path}")


def _named(expect: Mapping[str, JSON]) -> Iterator[tuple[str, str]]:
    """The names of steps in an expectation, each with its pointer there."""
    for key in ("path", "waiting", "calls"):
        parts = expect.get(key)
        for index, part in enumerate(parts if isinstance(parts, list) else []):
            yield from ((f"/{key}/{index}", name) for name in _names_in(part))
    for key in ("steps", "called"):
        parts = expect.get(key)
        for name in parts if isinstance(parts, dict) else ():
            yield f"/{key}{point(name)}", name


def _names_in(part: JSON) -> Iterator[str]:
    if isinstance(part, str):
        yield part
    elif isinstance(part, dict) and "name" in part:
        yield str(part["name"])
    elif isinstance(part, dict):
        branches = part.get("atOnce")
        for branch in branches if isinstance(branches, list) else []:
            yield from (str(name) for name in (branch if isinstance(branch, list) else []))
