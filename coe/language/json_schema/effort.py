"""How much work it is to apply a schema to a value, counted before the validator starts.

The validator cannot be interrupted. A few lines of schema can make it work for years: references
that double at each step, or long lists of alternatives for long lists of items. So its work is
counted first, as if no keyword failed early; equal parts are counted once and multiplied.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import orjson

from coe.json_types import JSON
from coe.language.json_schema.references import REFERENCES, Targets

MAX_VISITS: Final = 400_000
"""Pairs of a schema and a value that are counted: about half a second."""
# Nested `unevaluated…` each apply what is below them again: three times, as measured.
_UNEVALUATED_FACTOR: Final = 4
_IN_PLACE_LISTS: Final = ("allOf", "anyOf", "oneOf")
_IN_PLACE: Final = ("not", "if", "then", "else")
_EVERY_ITEM: Final = ("items", "contains", "unevaluatedItems")
# `dependencies` is of older drafts, and the validator applies it too.
_DEPENDENT: Final = ("dependentSchemas", "dependencies")
_EVERY_KEY: Final = ("additionalProperties", "unevaluatedProperties")
_REPETITION: Final = re.compile(r"\{(\d+)(?:,(\d*))?\}")
_MAX_STATES: Final = 16_000  # what an expression of the permitted size can have


# What one counted pair, and one error that is found, take in steps of the validator.
_VISIT_STEPS: Final = 50
_ERROR_STEPS: Final = 100


class TooMuchWork(Exception):
    """Applying the schema to the value would take longer than is reasonable."""


@dataclass(slots=True)
class Allowance:
    """The steps that all validations of one document may take together.

    Without it each has a bound of its own, and a document of a hundred values has a hundred bounds.
    """

    left: int

    @property
    def is_spent(self) -> bool:
        """Whether a validation was refused: all later ones are refused at once."""
        return self.left <= 0

    def take(self, steps: int) -> None:
        """Take steps.

        Raises:
            TooMuchWork: There are not so many left; none remain.
        """
        self.left -= steps
        if self.is_spent:
            raise TooMuchWork


class Effort(NamedTuple):
    """What applying a schema takes at most; one step is about 10 ns."""

    steps: int
    # Keywords that are applied, each of which may be an error.
    errors: int
    # Bytes that the validator copies if all of them are: each error holds its value.
    copied: int
    # Pairs of a schema and a value that were counted.
    visits: int = 0

    @property
    def to_apply(self) -> int:
        """Steps to count and to apply it."""
        return self.steps + self.visits * _VISIT_STEPS

    @property
    def to_explain(self) -> int:
        """Steps to find all errors."""
        return self.errors * _ERROR_STEPS + self.copied


def effort(schema: JSON, value: JSON, targets: Targets) -> Effort:
    """Count what applying a schema to a value takes.

    Raises:
        TooMuchWork: It is too much to be counted, a schema refers to itself for one value, or it
            is not known where it refers to.
    """
    return _Count(targets).of(schema, value)


class _Visit:
    """One schema applied to one value: what it takes itself, and the pairs below it."""

    __slots__ = ("copied", "errors", "factor", "inner", "key", "steps")

    def __init__(self, schema: JSON, value: JSON, count: _Count) -> None:
        self.key = id(schema), id(value)
        self.factor, self.steps, self.errors, self.copied = 1, 1, 1, 0
        self.inner: Iterator[tuple[JSON, JSON]] = iter(())
        if isinstance(schema, dict):
            if "unevaluatedProperties" in schema or "unevaluatedItems" in schema:
                self.factor = _UNEVALUATED_FACTOR
            self.steps = _own_steps(schema, value)
            self.errors = len(schema)
            self.copied = len(schema) * count.size(value)
            self.inner = _pairs(schema, value, count.targets)

    def add(self, other: Effort) -> None:
        self.steps += other.steps
        self.errors += other.errors
        self.copied += other.copied

    @property
    def effort(self) -> Effort:
        factor = self.factor
        return Effort(self.steps * factor, self.errors * factor, self.copied * factor)


class _Count:
    """Walks over pairs of a schema and a value, without recursion: values may be deep."""

    def __init__(self, targets: Targets) -> None:
        self.targets = targets
        self._done: dict[tuple[int, int], Effort] = {}
        self._sizes: dict[int, int] = {}
        # What a number takes under a schema; None where it holds others for the same value.
        self._flat: dict[int, Effort | None] = {}

    def of(self, schema: JSON, value: JSON) -> Effort:
        root = _Visit(schema, value, self)
        stack, unfinished, visits = [root], {root.key}, 0
        while stack:
            visit = stack[-1]
            for pair in visit.inner:
                visits += 1
                if visits > MAX_VISITS:
                    raise TooMuchWork
                counted = self._known(*pair)
                if counted is None:
                    key = id(pair[0]), id(pair[1])
                    if key in unfinished:
                        raise TooMuchWork
                    unfinished.add(key)
                    stack.append(_Visit(*pair, self))
                    break
                visit.add(counted)
            else:
                stack.pop()
                unfinished.discard(visit.key)
                self._done[visit.key] = visit.effort
                if stack:
                    stack[-1].add(visit.effort)
        return root.effort._replace(visits=visits)

    def _known(self, schema: JSON, value: JSON) -> Effort | None:
        """The effort of a pair that was counted before, or of a number under a flat schema."""
        done = self._done.get((id(schema), id(value)))
        if done is not None or isinstance(value, dict | list | str):
            return done
        key = id(schema)
        if key not in self._flat:
            flat = (
                not isinstance(schema, dict) or next(_in_place(schema, self.targets), None) is None
            )
            self._flat[key] = _Visit(schema, None, self).effort if flat else None
        return self._flat[key]

    def size(self, value: JSON) -> int:
        """The bytes of a value as JSON."""
        if not isinstance(value, dict | list | str):
            return 8
        key = id(value)
        if key not in self._sizes:
            try:
                self._sizes[key] = len(orjson.dumps(value))
            except TypeError:  # a whole number of more than 64 bits
                self._sizes[key] = len(str(value))
        return self._sizes[key]


def _own_steps(schema: dict[str, Any], value: JSON) -> int:
    steps = 1 + len(schema)
    if "enum" in schema:
        steps += 4 * len(schema["enum"])
    if isinstance(value, str) and "pattern" in schema:
        steps += matching_steps(schema["pattern"], value)
    if isinstance(value, dict) and "patternProperties" in schema:
        steps += sum(
            matching_steps(pattern, key) for pattern in schema["patternProperties"] for key in value
        )
    return steps


def matching_steps(pattern: str, text: str) -> int:
    """Steps of the linear-time engine at its slowest: each character in each of its states."""
    return len(text) * states(pattern)


def states(pattern: str) -> int:
    """The states that a regular expression has at most, as far as its length and counts show."""
    found = max(1, len(pattern) // 4)
    for repetition in _REPETITION.finditer(pattern):
        found = min(_MAX_STATES, found * max(1, int((repetition[2] or repetition[1])[:6])))
    return found


def _pairs(schema: dict[str, Any], value: JSON, targets: Targets) -> Iterator[tuple[JSON, JSON]]:
    """The schemas below a schema, each with the value that it is applied to."""
    for inner in _in_place(schema, targets):
        yield inner, value
    if isinstance(value, dict):
        yield from _object_pairs(schema, value)
    elif isinstance(value, list):
        yield from zip(schema.get("prefixItems", ()), value, strict=False)
        for keyword in _EVERY_ITEM:
            if keyword in schema:
                yield from ((schema[keyword], item) for item in value)


def _in_place(schema: dict[str, Any], targets: Targets) -> Iterator[JSON]:
    """The schemas that apply to the same value."""
    if any(isinstance(schema.get(keyword), str) for keyword in REFERENCES):
        if id(schema) not in targets:  # the validator may know where it leads, and this does not
            raise TooMuchWork
        yield from targets[id(schema)]
    for keyword in _IN_PLACE_LISTS:
        yield from schema.get(keyword, ())
    for keyword in _IN_PLACE:
        if keyword in schema:
            yield schema[keyword]


def _object_pairs(schema: dict[str, Any], value: dict[str, JSON]) -> Iterator[tuple[JSON, JSON]]:
    for keyword in _DEPENDENT:
        for key, inner in schema.get(keyword, {}).items():
            if key in value:
                yield inner, value
    properties = schema.get("properties", {})
    for key, item in value.items():
        if key in properties:
            yield properties[key], item
        for keyword in _EVERY_KEY:
            if isinstance(schema.get(keyword), dict):
                yield schema[keyword], item
        for inner in schema.get("patternProperties", {}).values():
            yield inner, item
        if "propertyNames" in schema:
            yield schema["propertyNames"], key
