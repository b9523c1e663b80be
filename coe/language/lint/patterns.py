"""The rule about patterns of event filters."""

from __future__ import annotations

from collections.abc import Iterator

from coe.errors import Problem, Severity
from coe.json_types import JSON
from coe.language.expression_syntax import is_expression
from coe.language.json_schema.patterns import has_signs, is_usable
from coe.language.lint.context import LintContext
from coe.language.model.events import EventFilter
from coe.language.source import point


def check_patterns(context: LintContext) -> Iterator[Problem]:
    """OWS063: text of an event filter that looks like a pattern, but is compared as text."""
    for place, part in context.parts(EventFilter):
        for where, text in _texts(part.with_.given(), f"{place}/with"):
            if has_signs(text) and not is_expression(text) and not is_usable(text):
                message = "this is not a supported pattern, so it matches only the same text"
                help = "look-around and back-references are not supported; write \\( for a bracket"
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
