"""Rules about schemas: they are valid, their examples match, and integers are bounded."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from itertools import chain
from typing import Any, Final

from coe.errors import Problem, Severity
from coe.json_types import JSON
from coe.language.json_schema.caps import excess
from coe.language.json_schema.meta import faults
from coe.language.json_schema.usable import schema_obstacles
from coe.language.json_schema.violations import violations
from coe.language.lint.context import LintContext
from coe.language.model.calls import CallFunction
from coe.language.model.components import DataSchema
from coe.language.source import point

MAX_EXAMPLES: Final = 100
"""Examples of all schemas of one definition."""

# Keys of a schema that contain schemas: by name, in a list, or one.
_NAMED = ("properties", "patternProperties", "$defs", "dependentSchemas")
_LISTED = ("allOf", "anyOf", "oneOf", "prefixItems")
_SINGLE = ("items", "additionalProperties", "contains", "not", "if", "then", "else")


def check_schemas(context: LintContext) -> Iterator[Problem]:
    """OWS060 to OWS062: unbounded integers, invalid schemas, examples that do not match.

    OWS064: more examples than are checked, or examples that take too much work to check.
    """
    left = MAX_EXAMPLES
    for place, document in _documents(context):
        broken = False
        for fault in chain(excess(document), faults(document)):
            broken = broken or fault.severity is Severity.ERROR
            where = place + fault.path
            yield context.problem("OWS061", fault.message, where, severity=fault.severity)
        obstacles = [] if broken else schema_obstacles(document, context.allowance)
        if context.allowance.is_spent:
            yield _spent(context, place)
            return
        for obstacle in obstacles:
            yield context.problem("OWS061", f"the schema cannot be used: {obstacle}", place)
        if broken or obstacles:
            continue
        left -= yield from _examples(context, place, document, max(left, 0))
        if context.allowance.is_spent:
            return
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


def _examples(
    context: LintContext, place: str, document: JSON, most: int
) -> Generator[Problem, None, int]:
    """Check the examples of a schema, and return how many there are."""
    listed = document.get("examples") if isinstance(document, dict) else None
    examples = listed if isinstance(listed, list) else []
    for index, example in enumerate(examples[:most]):
        found = violations(document, example, context.allowance)
        if context.allowance.is_spent:
            yield _spent(context, f"{place}/examples/{index}")
            break
        for each in found:
            where = f"{place}/examples/{index}{each.path}"
            yield context.problem("OWS062", f"this example does not match: {each}", where)
    if len(examples) > most:
        message = f"the schemas of a document have at most {MAX_EXAMPLES} examples together"
        help = "keep those that show something, and test the others in tests.yaml"
        yield context.problem("OWS064", message, f"{place}/examples/{most}", help=help)
    return len(examples)


def _spent(context: LintContext, place: str) -> Problem:
    message = "to check this, and what was checked before it, takes too much work"
    help = "take out examples, or simplify the schemas: fewer references and alternatives"
    return context.problem("OWS064", message, place, help=help)


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
