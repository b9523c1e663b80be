"""The steps of one version, with their content and the steps inside them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import Any, Final

from coe.language.model.definition import Definition
from coe.language.model.task import Task
from coe.language.source import tokens

# Steps with less content may be equal by chance: the limit in characters.
_MIN_DISTINCTIVE: Final = 60


@dataclass(eq=False)
class ComparedStep:
    """A step of one version; `path` are its names from the top."""

    name: str
    path: str
    pointer: str
    own: dict[str, Any]
    index: int
    scopes: dict[str, list[ComparedStep]] = field(default_factory=dict)

    def walk(self) -> Iterator[ComparedStep]:
        """This step and all steps inside it."""
        yield self
        for steps in self.scopes.values():
            for step in steps:
                yield from step.walk()

    @cached_property
    def content(self) -> str:
        """A digest of its content and of the steps inside it, without its name."""
        inner = {
            place: [[step.name, step.content] for step in steps]
            for place, steps in self.scopes.items()
        }
        text = json.dumps([self.own, inner], sort_keys=True)
        return f"{len(text)}:{sha256(text.encode()).hexdigest()}"

    @cached_property
    def leaves(self) -> frozenset[str]:
        """Its values, each with its place, and the names of the steps inside it."""
        inside = {place: [each.name for each in steps] for place, steps in self.scopes.items()}
        return frozenset(_leaves([self.own, inside], ""))

    @property
    def is_distinctive(self) -> bool:
        """Whether it has so much content that an equal step is hardly equal by chance."""
        return int(self.content.partition(":")[0]) > _MIN_DISTINCTIVE


def top_steps(definition: Definition) -> list[ComparedStep]:
    """The steps at the top of a definition."""
    return [_step(task, definition, task.name) for task in definition.do]


def _step(task: Task, definition: Definition, path: str) -> ComparedStep:
    data: Any = definition.source.data
    for token in tokens(task.pointer):
        data = data[int(token)] if isinstance(data, list) else data[token]
    own: dict[str, Any] = json.loads(json.dumps(data))
    own.pop("metadata", None)
    index = int(tokens(task.pointer)[-2])
    step = ComparedStep(task.name, path, task.pointer, own, index)
    for scope in task.scopes():
        *parents, last = tokens(scope.pointer)
        inner: Any = own
        for key in parents:
            inner = inner[key]
        inner.pop(last, None)
        prefix = "/".join((path, *tokens(scope.pointer), ""))
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
