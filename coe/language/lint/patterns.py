"""The rule about patterns of event filters."""

from __future__ import annotations

from collections.abc import Iterator

from coe.errors import Problem, Severity
from coe.json_types import JSON
from coe.language.expression_syntax import is_expression
from coe.language.json_schema.patterns import fault_of, has_signs
from coe.language.lint.context import LintContext
from coe.language.model.events import EventFilter
from coe.language.source import point


def check_patterns(context: LintContext) -> Iterator[Problem]:
    """OWS063: text of an event filter that looks like a pattern, but is compared as text."""
    for place, part in context.parts(EventFilter):
        for where, text in _texts(part.with_.given(), f"{place}/with"):
            if not has_signs(text) or is_expression(text):
                continue
            fault = fault_of(text)
            if fault is not None:
                message = f"this is not a pattern, and matches only the same text: it {fault}"
                help = "write \\( for a bracket"
                severity = Severity.WARNING
                yield context.problem(
                    "OWS063", message, where, severity=severity, value=True, help=help
                )


def _texts(value: JSON, place: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _texts(inner, f"{place}{point(name)}")
