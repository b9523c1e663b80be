"""The data flow of a run: expressions with their variables, schemas, durations."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

from coe.formats import instants
from coe.formats.durations import DurationError
from coe.json_types import JSON
from coe.language.durations import Duration, parse
from coe.language.expression_syntax import is_expression, program_of
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
from coe.language.json_schema.usable import schema_obstacles
from coe.language.json_schema.violations import violations
from coe.language.model.components import DataSchema
from coe.machine.errors import TaskFault, standard_error
from coe.machine.fibers import Evaluation
from coe.machine.scope import ExecutionScope, Frame

__all__ = [
    "AUTHENTICATION",
    "CONDITION",
    "DEFINITION",
    "EXPORT",
    "FLOW_INPUT",
    "FLOW_OUTPUT",
    "INPUT",
    "MAX_VIOLATIONS",
    "DataFlow",
    "ExpressionSite",
    "RunDescriptor",
    "at_pointer",
    "pointer_token",
    "time_descriptor",
]

# `$runtime` where the journal does not have it.
_RUNTIME: Final[dict[str, JSON]] = {"name": "coe", "version": "1", "metadata": {}}

# A validation error lists at most this many violations.
MAX_VIOLATIONS: Final = 10

_VARIABLE: Final = re.compile(r"\$([A-Za-z_]\w*)")
_SECRET: Final = re.compile(r"\$secrets\b(?:\s*\.\s*([A-Za-z_]\w*)|\s*\[\s*\"([^\"\\]+)\"\s*\])?")


@lru_cache(maxsize=1024)
def _variables_of(program: str) -> frozenset[str]:
    """The variables that a program mentions (it may define some of them itself)."""
    return frozenset(_VARIABLE.findall(program))


@lru_cache(maxsize=1024)
def _secrets_of(program: str) -> frozenset[str]:
    """The names of the secrets that a program mentions; "" where it uses `$secrets` as a whole."""
    return frozenset(match[1] or match[2] or "" for match in _SECRET.finditer(program))


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def time_descriptor(at: datetime) -> dict[str, JSON]:
    """The specification's descriptor of a time; its text has whole seconds."""
    milliseconds = (at - _EPOCH) // timedelta(milliseconds=1)
    epoch: JSON = {"seconds": milliseconds // 1000, "milliseconds": milliseconds}
    return {"iso8601": instants.write_seconds(at), "epoch": epoch}


@dataclass(slots=True)
class RunDescriptor:
    """The run as a whole, as expressions and calls see it."""

    id: str
    definition: JSON
    secrets: Mapping[str, JSON] = field(repr=False)
    declared_secrets: tuple[str, ...] = ()
    input: JSON = field(default=None, repr=False)
    trace_id: str | None = None
    started_at: datetime | None = None
    runtime: JSON = field(default_factory=lambda: dict(_RUNTIME))
    flows: Mapping[str, str] = field(default_factory=dict)


class ExpressionSite:
    """The place of an expression: the variables bound there, and the `instance` of its errors."""

    __slots__ = ("allowed", "frame", "pointer", "scope")

    def __init__(
        self,
        allowed: frozenset[str],
        *,
        frame: Frame | None = None,
        scope: ExecutionScope | None = None,
        pointer: str = "",
    ) -> None:
        self.allowed = allowed
        self.frame = frame
        self.scope = scope or (frame.scope if frame else None)
        self.pointer = pointer or (frame.pointer if frame else "")


class DataFlow:
    """Evaluates what a definition computes; an error is a `TaskFault` that names the site."""

    def __init__(self, run: RunDescriptor) -> None:
        self._run = run

    async def evaluate(self, program: str, data: JSON, site: ExpressionSite) -> JSON:
        """Evaluate a jq program over `data`.

        Raises:
            TaskFault: `expression` (400), or `authorization` (403) for a missing secret.
        """
        names = _variables_of(program)
        if "secrets" in names & site.allowed:
            self._require_secrets(_secrets_of(program), site)
        variables = self._bind(names, site)
        try:
            return await Evaluation(program, variables, data)
        except ExpressionError as error:
            detail = f"{error}: {error.detail}" if error.detail else str(error)
            raise self.fault(site, detail) from None

    async def holds(self, program: str, data: JSON, site: ExpressionSite) -> bool:
        """Whether a condition holds: its value is neither false nor null."""
        value = await self.evaluate(program, data, site)
        return value is not None and value is not False

    async def render(self, template: JSON, data: JSON, site: ExpressionSite) -> JSON:
        """A copy of a template with every `${ … }` in it evaluated over `data`."""
        if is_expression(template):
            return await self.evaluate(program_of(template), data, site)
        if isinstance(template, dict):
            return {name: await self.render(value, data, site) for name, value in template.items()}
        if isinstance(template, list | tuple):
            return [await self.render(value, data, site) for value in template]
        return template

    async def duration(self, duration: Duration, data: JSON, site: ExpressionSite) -> timedelta:
        """The length of a duration, which is evaluated if it is an expression."""
        if duration.expression is None:
            return duration.timedelta
        value = await self.evaluate(duration.expression, data, site)
        return self.parse_duration(value, site)

    def parse_duration(self, value: JSON, site: ExpressionSite) -> timedelta:
        """The length of a duration in data: ISO 8601 text, or an object of units."""
        try:
            parsed = parse(value)
        except DurationError as error:
            raise self.fault(site, str(error)) from None
        if parsed.expression is not None:
            raise self.fault(site, "a computed duration must not be an expression")
        return parsed.timedelta

    def validate(self, schema: DataSchema | None, value: JSON, site: ExpressionSite) -> None:
        """Validate data against a schema of the definition.

        Raises:
            TaskFault: `validation` (400), whose detail names places and rules, not values.
        """
        if schema is None:
            return
        if schema.resource is not None:
            title = "An external schema is not fetched; give it as `document`"
            raise TaskFault(standard_error("configuration", title=title, instance=site.pointer))
        self.check(schema.document, value, site, "Data does not match its schema")

    def check(self, schema: JSON, value: JSON, site: ExpressionSite, title: str) -> None:
        """Validate data against a JSON Schema, as `validate` does."""
        found = violations(schema, value)
        if found:
            detail = "; ".join(str(one) for one in found[:MAX_VIOLATIONS])
            raise TaskFault(
                standard_error("validation", title=title, detail=detail, instance=site.pointer)
            )

    def check_schema(self, schema: JSON, site: ExpressionSite, title: str) -> None:
        """Refuse a value of data that cannot be used as a JSON Schema.

        Raises:
            TaskFault: `validation` (400), whose detail names places and rules, not values.
        """
        obstacles = schema_obstacles(schema)
        if obstacles:
            detail = "; ".join(obstacles[:MAX_VIOLATIONS])
            raise TaskFault(
                standard_error("validation", title=title, detail=detail, instance=site.pointer)
            )

    def fault(self, site: ExpressionSite, detail: str) -> TaskFault:
        """Make an expression error at a site."""
        return TaskFault(
            standard_error(
                "expression", title="Expression failed", detail=detail, instance=site.pointer
            )
        )

    def _require_secrets(self, wanted: frozenset[str], site: ExpressionSite) -> None:
        """Refuse secrets that are not declared, or not available."""
        declared = self._run.declared_secrets
        for name in declared if "" in wanted else sorted(wanted):
            if name not in declared or name not in self._run.secrets:
                title = f"The secret {name} is not available"
                raise TaskFault(standard_error("authorization", title=title, instance=site.pointer))

    def _bind(self, names: frozenset[str], site: ExpressionSite) -> dict[str, JSON]:
        bound: dict[str, JSON] = {}
        own = site.scope.variables if site.scope else {}
        for name in names:
            if name in site.allowed:
                bound[name] = _VARIABLES[name](self._run, site)
            elif name in own:
                bound[name] = own[name]
        return bound


def _secrets(run: RunDescriptor, _site: ExpressionSite) -> JSON:
    return {name: run.secrets[name] for name in run.declared_secrets if name in run.secrets}


def _workflow(run: RunDescriptor, _site: ExpressionSite) -> JSON:
    return {
        "id": run.id,
        "definition": run.definition,
        "input": run.input,
        "startedAt": time_descriptor(run.started_at) if run.started_at else None,
    }


def _task(run: RunDescriptor, site: ExpressionSite) -> JSON:
    frame = site.frame
    if frame is None:
        return None
    return {
        "name": frame.task.name,
        "reference": frame.pointer,
        "definition": at_pointer(run.definition, frame.pointer),
        "input": frame.raw,
        "output": frame.output,
        "startedAt": time_descriptor(frame.started_at),
    }


def pointer_token(name: str) -> str:
    """A name as a part of a JSON pointer (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")


def at_pointer(document: JSON, pointer: str) -> JSON:
    """The value at a JSON pointer (RFC 6901), which must exist."""
    value = document
    for token in pointer.split("/")[1:]:
        name = token.replace("~1", "/").replace("~0", "~")
        if isinstance(value, list):
            value = value[int(name)]
        elif isinstance(value, dict):
            value = value[name]
    return value


_VARIABLES: Final[Mapping[str, Callable[[RunDescriptor, ExpressionSite], JSON]]] = {
    "authorization": lambda _, site: site.frame.authorization if site.frame else None,
    "context": lambda _, site: site.scope.context.value if site.scope else None,
    "input": lambda _, site: site.frame.input if site.frame else None,
    "output": lambda _, site: site.frame.transformed if site.frame else None,
    "runtime": lambda run, _: run.runtime,
    "secrets": _secrets,
    "task": _task,
    "workflow": _workflow,
}
