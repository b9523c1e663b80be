"""Attributes of events in a definition (OWS059): those that no event can have are told."""

from __future__ import annotations

import pytest

from coe.language.lint import NO_STANDARDS, lint
from tests.factories.definitions import loaded

EMIT = "- a: {emit: {event: {with: {type: com.example.paid%s}}}}"
LISTEN = "- a: {listen: {to: {any: [{with: {type: com.example.paid%s}}]}}}"
IN_EMIT = {
    ", Source: /shop": ("ERROR", "Source", ", did you mean `source`?"),
    ", 'order id': 7": ("ERROR", "order id", "of a-z and 0-9"),
    ", subjct: SO-7": ("WARNING", "subjct", ", did you mean `subject`?"),
    ", order: {id: 7}": ("ERROR", "order", "an attribute is text, true, false or a whole number"),
    ", time: yesterday": ("ERROR", "time", "the attribute must be"),
    ", specversion: '0.3'": ("ERROR", "specversion", "only version 1.0"),
    ", source: /finance/pay/1.0.0": ("ERROR", "source", "only its runs may use it"),
}
IN_FILTER = {
    ", Source: /shop": ("ERROR", "Source", ", did you mean `source`?"),
    ", subjct: SO-7": ("WARNING", "subjct", ", did you mean `subject`?"),
}
TAKEN = (
    ", order: SO-7, urgent: true, count: 7",
    ", subject: '${ .order }', time: '${ .at }', data: {'Any Key': 1}",
    ", source: /sales/order-to-cash/1.0.0",
    ", data_base64: 'AA=='",
)


def found(tasks: str) -> list[tuple[str, str, str]]:
    problems = lint(loaded(tasks), standards=NO_STANDARDS)
    return [
        (each.severity, each.path or "", each.message) for each in problems if each.code == "OWS059"
    ]


@pytest.mark.parametrize(("more", "expected"), IN_EMIT.items())
def test_what_an_event_cannot_have_is_told(more: str, expected: tuple[str, str, str]) -> None:
    [(severity, path, message)] = found(EMIT % more)
    assert (severity, path) == (expected[0], f"/do/0/a/emit/event/with/{expected[1]}")
    assert expected[2] in message


@pytest.mark.parametrize(("more", "expected"), IN_FILTER.items())
def test_what_a_filter_cannot_match_is_told(more: str, expected: tuple[str, str, str]) -> None:
    [(severity, path, message)] = found(LISTEN % more)
    assert (severity, path) == (expected[0], f"/do/0/a/listen/to/any/0/with/{expected[1]}")
    assert expected[2] in message


@pytest.mark.parametrize("more", TAKEN)
def test_what_an_event_can_have_is_taken(more: str) -> None:
    assert found(EMIT % more) == []


def test_patterns_and_conditions_of_a_filter_are_taken() -> None:
    assert found(LISTEN % ", source: '/shop/.*', order: '${ .order > 7 }'") == []
