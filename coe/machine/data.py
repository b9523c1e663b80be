"""The data flow of a run: expressions and what is bound for them, schemas, durations."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final

from coe.json_types import JSON
from coe.language.durations import Duration, DurationError, parse
from coe.language.expression_syntax import is_expression, strip
from coe.language.expressions.evaluator import ExpressionError
from coe.language.expressions.variables import (
    AUTHENTICATION,
    CONDITION,
    DEFINITION,
    EXPORT,
    FLOW_INPUT,
    FLOW_OUTPUT,
    INPUT,
)
from coe.language.json_schema.violations import violations
from coe.language.model.components import Schema
from coe.machine.errors import Fault, standard
from coe.machine.fibers import Evaluation
from coe.machine.scope import Frame, Scope

# Places (`coe.language.expressions.variables`), for the modules of the task types.
__all__ = [
    "AUTHENTICATION",
    "CONDITION",
    "DEFINITION",
    "EXPORT",
    "FLOW_INPUT",
    "FLOW_OUTPUT",
    "INPUT",
    "Data",
    "Place",
    "RunData",
    "at_pointer",
    "instant",
]

# What `$runtime` is where the journal does not say.
_RUNTIME: Final[dict[str, JSON]] = {"name": "coe", "version": "1", "metadata": {}}

# Most problems that one validation error tells of.
_MOST: Final = 10

_VARIABLE: Final = re.compile(r"\$([A-Za-z_]\w*)")
_SECRET: Final = re.compile(r"\$secrets\b(?:\s*\.\s*([A-Za-z_]\w*)|\s*\[\s*\"([^\"\\]+)\"\s*\])?")


@lru_cache(maxsize=1024)
def _variables_of(program: str) -> frozenset[str]:
    """The names that a program may take from outside (some may be its own)."""
    return frozenset(_VARIABLE.findall(program))


@lru_cache(maxsize=1024)
def _secrets_of(program: str) -> frozenset[str]:
    """The secrets that a program asks for by name; "" where it asks for all of them."""
    return frozenset(match[1] or match[2] or "" for match in _SECRET.finditer(program))


def instant(at: datetime) -> dict[str, JSON]:
    """The specification's descriptor of a time."""
    milliseconds = round(at.timestamp() * 1000)
    epoch: JSON = {"seconds": milliseconds // 1000, "milliseconds": milliseconds}
    return {"iso8601": at.isoformat().replace("+00:00", "Z"), "epoch": epoch}


@dataclass(slots=True)
class RunData:
    """What the journal says of the run as a whole."""

    id: str
    definition: JSON
    secrets: Mapping[str, JSON] = field(repr=False)
    declared_secrets: tuple[str, ...] = ()
    input: JSON = field(default=None, repr=False)
    trace_id: str | None = None
    started_at: datetime | None = None
    runtime: JSON = field(default_factory=lambda: dict(_RUNTIME))
    flows: Mapping[str, str] = field(default_factory=dict)


class Place:
    """Where an expression stands: what is bound there, and the pointer that its errors name."""

    __slots__ = ("allowed", "frame", "pointer", "scope")

    def __init__(
        self,
        allowed: frozenset[str],
        *,
        frame: Frame | None = None,
        scope: Scope | None = None,
        pointer: str = "",
    ) -> None:
        """Take the task (`frame`), the loop inside it (`scope`), or the flow's part (`pointer`)."""
        self.allowed = allowed
        self.frame = frame
        self.scope = scope or (frame.scope if frame else None)
        self.pointer = pointer or (frame.pointer if frame else "")


class Data:
    """Evaluates what a definition computes. Errors are `Fault`s with the pointer of the place."""

    def __init__(self, run: RunData) -> None:
        """Take what is known of the run; it may become known later."""
        self._run = run

    async def evaluate(self, program: str, data: JSON, place: Place) -> JSON:
        """The value of a jq program over `data`.

        Raises:
            Fault: `expression` (400), or `authorization` (403) for a secret that is not there.
        """
        names = _variables_of(program)
        if "secrets" in names & place.allowed:
            self._demand(_secrets_of(program), place)
        variables = self._bind(names, place)
        try:
            return await Evaluation(program, variables, data)
        except ExpressionError as error:
            told = f"{error}: {error.detail}" if error.detail else str(error)
            raise self.fault(place, told) from None

    async def holds(self, program: str, data: JSON, place: Place) -> bool:
        """Whether a condition is met: neither false nor null."""
        value = await self.evaluate(program, data, place)
        return value is not None and value is not False

    async def render(self, template: JSON, data: JSON, place: Place) -> JSON:
        """A copy of the definition's data with every `${ … }` in it evaluated over `data`."""
        if is_expression(template):
            return await self.evaluate(strip(template), data, place)
        if isinstance(template, dict):
            return {name: await self.render(value, data, place) for name, value in template.items()}
        if isinstance(template, list | tuple):
            return [await self.render(value, data, place) for value in template]
        return template

    async def duration(self, duration: Duration, data: JSON, place: Place) -> timedelta:
        """The length of a duration, evaluated if it is an expression."""
        if duration.expression is None:
            return duration.timedelta
        value = await self.evaluate(duration.expression, data, place)
        return self.parse_duration(value, place)

    def parse_duration(self, value: JSON, place: Place) -> timedelta:
        """The length that data names, as ISO 8601 text or an object of units."""
        try:
            parsed = parse(value)
        except DurationError as error:
            raise self.fault(place, str(error)) from None
        if parsed.expression is not None:
            raise self.fault(place, "a duration that was computed is itself an expression")
        return parsed.timedelta

    def validate(self, schema: Schema | None, value: JSON, place: Place) -> None:
        """Check data against a schema of the definition.

        Raises:
            Fault: `validation` (400); its detail names places and rules, not values.
        """
        if schema is None:
            return
        if schema.resource is not None:
            title = "A schema that lies elsewhere is not fetched; give it as `document`"
            raise Fault(standard("configuration", title=title, instance=place.pointer))
        self.check(schema.document, value, place, "Data does not match its schema")

    def check(self, schema: JSON, value: JSON, place: Place, title: str) -> None:
        """Check data against a JSON Schema; as `validate`."""
        found = violations(schema, value)
        if found:
            detail = "; ".join(str(one) for one in found[:_MOST])
            raise Fault(standard("validation", title=title, detail=detail, instance=place.pointer))

    def fault(self, place: Place, detail: str) -> Fault:
        """An expression error at a place."""
        return Fault(
            standard("expression", title="Expression failed", detail=detail, instance=place.pointer)
        )

    def _demand(self, wanted: frozenset[str], place: Place) -> None:
        """Refuse secrets that are not declared, or not there."""
        declared = self._run.declared_secrets
        for name in declared if "" in wanted else sorted(wanted):
            if name not in declared or name not in self._run.secrets:
                title = f"The secret {name} is not to be had"
                raise Fault(standard("authorization", title=title, instance=place.pointer))

    def _bind(self, names: frozenset[str], place: Place) -> dict[str, JSON]:
        bound: dict[str, JSON] = {}
        own = place.scope.variables if place.scope else {}
        for name in names:
            if name in place.allowed:
                bound[name] = _SOURCES[name](self._run, place)
            elif name in own:
                bound[name] = own[name]
        return bound


def _secrets(run: RunData, _place: Place) -> JSON:
    return {name: run.secrets[name] for name in run.declared_secrets if name in run.secrets}


def _workflow(run: RunData, _place: Place) -> JSON:
    return {
        "id": run.id,
        "definition": run.definition,
        "input": run.input,
        "startedAt": instant(run.started_at) if run.started_at else None,
    }


def _task(run: RunData, place: Place) -> JSON:
    frame = place.frame
    if frame is None:
        return None
    return {
        "name": frame.task.name,
        "reference": frame.pointer,
        "definition": at_pointer(run.definition, frame.pointer),
        "input": frame.raw,
        "output": frame.output,
        "startedAt": instant(frame.started_at),
    }


def at_pointer(document: JSON, pointer: str) -> JSON:
    """The value at a JSON pointer (RFC 6901) that leads somewhere."""
    value = document
    for token in pointer.split("/")[1:]:
        name = token.replace("~1", "/").replace("~0", "~")
        if isinstance(value, list):
            value = value[int(name)]
        elif isinstance(value, dict):
            value = value[name]
    return value


_SOURCES: Final[Mapping[str, Callable[[RunData, Place], JSON]]] = {
    "authorization": lambda _, place: place.frame.authorization if place.frame else None,
    "context": lambda _, place: place.scope.context.value if place.scope else None,
    "input": lambda _, place: place.frame.input if place.frame else None,
    "output": lambda _, place: place.frame.transformed if place.frame else None,
    "runtime": lambda run, _: run.runtime,
    "secrets": _secrets,
    "task": _task,
    "workflow": _workflow,
}
