"""Rules about schemas: they are valid, their examples match, and integers are bounded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from coe.errors import Problem, Severity
from coe.json_types import JSON
from coe.language.json_schema.meta import faults
from coe.language.json_schema.usable import schema_obstacles
from coe.language.json_schema.violations import violations
from coe.language.lint.context import LintContext
from coe.language.model.calls import CallFunction
from coe.language.model.components import DataSchema
from coe.language.source import point

# Keys of a schema that contain schemas: by name, in a list, or one.
_NAMED = ("properties", "patternProperties", "$defs", "dependentSchemas")
_LISTED = ("allOf", "anyOf", "oneOf", "prefixItems")
_SINGLE = ("items", "additionalProperties", "contains", "not", "if", "then", "else")


def check_schemas(context: LintContext) -> Iterator[Problem]:
    """OWS060 to OWS062: unbounded integers, invalid schemas, examples that do not match."""
    for place, document in _documents(context):
        broken = False
        for fault in faults(document):
            broken = broken or fault.severity is Severity.ERROR
            where = place + fault.path
            yield context.problem("OWS061", fault.message, where, severity=fault.severity)
        obstacles = [] if broken else schema_obstacles(document)
        for obstacle in obstacles:
            yield context.problem("OWS061", f"the schema cannot be used: {obstacle}", place)
        if broken or obstacles:
            continue
        yield from _examples(context, place, document)
        for found in unbounded(document, place):
            message = "an integer without `maximum`: jq is exact only up to 2^53"
            help = "give it a `maximum`, or make it a string, as for money"
            severity = Severity.WARNING
            yield context.problem("OWS060", message, found, severity=severity, help=help)


def _documents(context: LintContext) -> Iterator[tuple[str, JSON]]:
    """Every JSON Schema of a definition with its pointer: of data, and of human tasks' forms."""
    for place, schema in context.parts(DataSchema):
        if schema.resource is None and schema.format.partition(":")[0] == "json":
            yield f"{place}/document", schema.document
    for task in context.tasks:
        if isinstance(task, CallFunction) and task.function.name == "humanTask":
            form = task.with_.get("form")
            if isinstance(form, dict | bool):
                yield f"{task.pointer}/with/form", form


def _examples(context: LintContext, place: str, document: JSON) -> Iterator[Problem]:
    examples = document.get("examples") if isinstance(document, dict) else None
    for index, example in enumerate(examples if isinstance(examples, list) else ()):
        for found in violations(document, example):
            where = f"{place}/examples/{index}{found.path}"
            yield context.problem("OWS062", f"this example does not match: {found}", where)


def unbounded(schema: Any, place: str) -> Iterator[str]:
    """The pointers of the integers in a schema that may exceed 2^53."""
    if not isinstance(schema, dict):
        return
    kind = schema.get("type")
    limited = any(key in schema for key in ("maximum", "exclusiveMaximum", "enum", "const"))
    if not limited and (kind == "integer" or (isinstance(kind, list) and "integer" in kind)):
        yield place
    for key in _NAMED:
        inner = schema.get(key)
        for name, part in inner.items() if isinstance(inner, dict) else ():
            yield from unbounded(part, place + point(key, name))
    for key in _LISTED:
        inner = schema.get(key)
        for index, part in enumerate(inner if isinstance(inner, list) else ()):
            yield from unbounded(part, place + point(key, index))
    for key in _SINGLE:
        yield from unbounded(schema.get(key), place + point(key))
