"""The subject of a suite: a flow, or a template that is rendered for each set of parameters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final, Protocol, TypeVar

import orjson

from coe.errors import Invalid, Problem, errors_in
from coe.json_types import JSON
from coe.language.branches import Reach, ReachableStep, branches_of
from coe.language.load import load_source
from coe.language.model.definition import Definition
from coe.language.source import Source, Unreadable, point, read
from coe.templates.manifest import FLOW, MANIFEST, TemplateFiles, read_template
from coe.templates.render import fill
from coe.templates.trial import examples_of, sample_target

StepT = TypeVar("StepT", bound=ReachableStep)
# The pointers, within a task, to its lists of tasks.
_SCOPES: Final = (
    ("do",),
    ("try",),
    ("catch", "do"),
    ("fork", "branches"),
    ("foreach", "do"),
    ("with", "do"),
)


@dataclass(frozen=True, slots=True)
class DefinitionUnderTest:
    """A definition under test, and the steps and branches that a run can reach in it."""

    definition: Definition
    reach: Reach


class Subject(Protocol):
    """What the tests of one folder test."""

    def tested(self, parameters: Mapping[str, JSON]) -> DefinitionUnderTest:
        """The definition that a test with these parameters runs.

        Raises:
            Invalid: The parameters give no valid definition.
        """
        ...

    def examples(self) -> Iterator[DefinitionUnderTest]:
        """The definitions whose branches count even if no test runs them."""
        ...

    def located(self, step: StepT) -> StepT:
        """A step or branch with its line and column in `flow.yaml`."""
        ...


def subject_of(files: Mapping[str, str]) -> Subject:
    """The subject of a folder's files, path to text.

    Raises:
        Invalid: The files do not load.
    """
    if MANIFEST not in files:
        return _Flow(_tested(_read(files)))
    template, problems = read_template(files)
    if template is None:
        raise Invalid(problems, "this is not a template")
    return _Template(template)


def _read(files: Mapping[str, str]) -> Source:
    if FLOW not in files:
        raise Invalid([Problem("INPUT_FILES", f"the file {FLOW} is missing")])
    try:
        return read(files[FLOW], file=FLOW)
    except Unreadable as error:
        raise Invalid([error.problem], f"{FLOW} is not a definition") from None


def _tested(source: Source) -> DefinitionUnderTest:
    loaded = load_source(source)
    if loaded.definition is None or errors_in(loaded.problems):
        raise Invalid(loaded.problems, f"{FLOW} is not a definition that can be run")
    return DefinitionUnderTest(loaded.definition, branches_of(loaded.definition))


class _Flow:
    """A flow: one definition for all tests."""

    def __init__(self, tested: DefinitionUnderTest) -> None:
        self._tested = tested

    def tested(self, parameters: Mapping[str, JSON]) -> DefinitionUnderTest:
        if parameters:
            message = "only a template takes parameters: a flow's tests have none"
            raise Invalid([Problem("INPUT_TESTS", message)])
        return self._tested

    def examples(self) -> Iterator[DefinitionUnderTest]:
        yield self._tested

    def located(self, step: StepT) -> StepT:
        return step


class _Template:
    """A template: rendered once for each set of parameters."""

    def __init__(self, template: TemplateFiles) -> None:
        self._template = template
        self._rendered: dict[bytes, DefinitionUnderTest] = {}
        self._source = read(template.texts[FLOW])
        self._places = dict(_places(self._source))

    def tested(self, parameters: Mapping[str, JSON]) -> DefinitionUnderTest:
        key = orjson.dumps(parameters, option=orjson.OPT_SORT_KEYS)
        if key not in self._rendered:
            target = sample_target(self._template)
            data, _, problems = fill(self._template, target, dict(parameters))
            if errors_in(problems):
                raise Invalid(problems, "the template does not render")
            self._rendered[key] = _tested(Source(data))
        return self._rendered[key]

    def examples(self) -> Iterator[DefinitionUnderTest]:
        for parameters in examples_of(self._template):
            yield self.tested(parameters if isinstance(parameters, dict) else {})

    def located(self, step: StepT) -> StepT:
        inner = step.place.removeprefix(step.pointer)
        pointer = self._places.get(step.key)
        whole = step.place if pointer is None else pointer + inner
        line, column = self._source.locate(whole) or (None, None)
        return replace(step, line=line, column=column)


def _places(source: Source) -> Iterator[tuple[str, str]]:
    """The pointer of each task in the flow of a template, with its key in the renderings."""
    data = source.data if isinstance(source.data, dict) else {}
    yield from _in_list(data.get("do"), "/do", "/do")
    use = data.get("use")
    functions = use.get("functions") if isinstance(use, dict) else None
    for name, task in functions.items() if isinstance(functions, dict) else ():
        key = point("use", "functions", name)
        yield key, key
        yield from _in_task(task, key, key)


def _in_list(tasks: JSON, pointer: str, key: str) -> Iterator[tuple[str, str]]:
    for index, entry in enumerate(tasks if isinstance(tasks, list) else [tasks]):
        place = pointer + point(index) if isinstance(tasks, list) else pointer
        for name, task in entry.items() if isinstance(entry, dict) else ():
            if name in {"$then", "$else"}:
                yield from _in_list(task, place + point(name), key)
            elif not name.startswith("$"):
                yield key + point(name), place + point(name)
                yield from _in_task(task, place + point(name), key + point(name))


def _in_task(task: JSON, pointer: str, key: str) -> Iterator[tuple[str, str]]:
    for scope in _SCOPES:
        inner: JSON = task
        for part in scope:
            inner = inner.get(part) if isinstance(inner, dict) else None
        if inner is not None:
            yield from _in_list(inner, pointer + point(*scope), key + point(*scope))
