"""Rules about the attributes of events, as far as they are literal."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from coe.errors import Problem, Severity
from coe.json_types import JSON
from coe.language.event_attributes import name_fault, value_fault
from coe.language.lint.context import LintContext
from coe.language.model.events import EventFilter, EventProperties
from coe.language.model.task_types import EmittedEvent
from coe.language.source import point
from coe.language.suggestions import closest

_DATA: Final = ("data", "data_base64")
# The attributes that are URI templates.
_ADDRESSES: Final = ("dataschema", "source")
_KEY: Final = re.compile(r"\{[^{}]*\}")
_ATTRIBUTES: Final = (
    "datacontenttype",
    "dataschema",
    "id",
    "source",
    "specversion",
    "subject",
    "time",
    "type",
)


def check_events(context: LintContext) -> Iterator[Problem]:
    """OWS059: attributes that no event can have, and names that look misspelt (CloudEvents 1.0)."""
    about = context.definition.document
    flow = f"/{about.namespace}/{about.name}/{about.version}"
    for place, emitted in context.parts(EmittedEvent):
        yield from _names(context, emitted.with_, f"{place}/with")
        for name, value in emitted.with_.given().items():
            if name not in _DATA and name_fault(name) is None and not _is_dynamic(value):
                fault = value_fault(name, _filled(name, value), flow=flow)
                if fault is None and name == "specversion" and value != "1.0":
                    fault = "only version 1.0 of CloudEvents is supported"
                if fault is not None:
                    where = f"{place}/with{point(name)}"
                    yield context.problem("OWS059", f"`{name}`: {fault}", where, value=True)
    for place, wanted in context.parts(EventFilter):
        yield from _names(context, wanted.with_, f"{place}/with")


def _filled(name: str, value: JSON) -> JSON:
    """An address with a text in place of each `{key}`, which a run takes from its input."""
    if name in _ADDRESSES and isinstance(value, str):
        return _KEY.sub("x", value)
    return value


def _names(context: LintContext, event: EventProperties, place: str) -> Iterator[Problem]:
    for name in event.given():
        if name in _DATA:
            continue
        fault, close = name_fault(name), closest(name, _ATTRIBUTES, likeness=0.8)
        guess = f", did you mean `{close}`?" if close and close != name else ""
        message, severity = f"`{name}` is an extension of the event{guess}", Severity.WARNING
        if fault is not None:
            message = f"`{name}` is no attribute of an event: {fault}{guess}"
            severity = Severity.ERROR
        if fault is not None or guess:
            yield context.problem("OWS059", message, place + point(name), severity=severity)


def _is_dynamic(value: Any) -> bool:
    return isinstance(value, str) and "${" in value
