"""Loops of `then` that nothing leads out of (OWS024)."""

from __future__ import annotations

import pytest

from coe.errors import Severity
from coe.language.lint import NO_STANDARDS, lint
from tests.factories.definitions import loaded

ENDLESS = {
    "two tasks": ("- a: {set: {x: 1}}\n- b: {set: {x: 2}, then: a}", "/do/1/b/then"),
    "one task": ("- a: {wait: PT1S, then: a}", "/do/0/a/then"),
    "a later loop": (
        "- s: {wait: PT1S}\n- a: {wait: PT1S}\n- b: {wait: PT1S, then: a}",
        "/do/2/b/then",
    ),
    "a nested scope": (
        "- s: {do: [{a: {wait: PT1S}}, {b: {wait: PT1S, then: a}}]}",
        "/do/0/s/do/1/b/then",
    ),
    "a catch that goes back": (
        "- s: {try: [{a: {wait: PT1S, then: a}}], catch: {}}",
        "/do/0/s/try/0/a/then",
    ),
}
ENDED_BY_AN_ERROR = {
    "an expression": "- a: {set: '${ .x }'}\n- b: {wait: PT1S, then: a}",
    "a switch that stays inside": (
        "- a: {wait: PT1S}\n- b: {switch: [{x: {when: .p, then: a}}, {y: {then: a}}]}"
    ),
    "a call": "- a: {call: http, with: {method: get, endpoint: https://x}, then: a}",
    "an event awaited again": "- a: {listen: {to: {one: {with: {type: x}}}}, then: a}",
    "a time limit around": "- s: {do: [{a: {wait: PT1S, then: a}}], timeout: {after: PT5S}}",
    "a condition that only skips": "- a: {if: .p, wait: PT1S, then: a}",
    "a branch beside": (
        "- s: {fork: {branches: [{a: {do: [{c: {wait: PT1S, then: c}}]}}, {b: {wait: PT1S}}]}}"
    ),
}
LEFT = {
    "a case": "- a: {wait: PT1S}\n- b: {switch: [{x: {when: .p, then: end}}, {y: {then: a}}]}",
    "no default": "- a: {switch: [{x: {when: .p, then: a}}]}",
    "a case further on": (
        "- a: {switch: [{x: {when: .p, then: c}}, {y: {then: b}}]}\n"
        "- b: {wait: PT1S, then: a}\n- c: {wait: PT1S}"
    ),
    "an end inside": "- a: {do: [{c: {switch: [{x: {when: .p, then: end}}]}}], then: a}",
    "a raise": (
        "- a: {switch: [{x: {when: .p, then: b}}, "
        "{y: {then: a}}]}\n- b: {raise: {error: {type: 'https://x', status: 400}}}"
    ),
    "a catch that leaves": "- a: {try: [{c: {wait: PT1S}}], catch: {then: end}, then: a}",
    "a branch that wins": (
        "- s: {fork: {compete: true, branches: [{a: {do: [{c: {wait: PT1S, then: c}}]}}, "
        "{b: {wait: PT1S}}]}}"
    ),
    "a branch that ends the run": (
        "- s: {fork: {branches: [{a: {do: [{c: {wait: PT1S, then: c}}]}}, "
        "{b: {wait: PT1S, then: end}}]}}"
    ),
    "a name that is not there": "- a: {wait: PT1S, then: b}",
    "a branch, which no task follows": "- s: {fork: {branches: [{a: {wait: PT1S, then: a}}]}}",
}


def loops(tasks: str, more: str = "") -> list[tuple[str | None, Severity]]:
    found = lint(loaded(tasks, more=more), standards=NO_STANDARDS)
    return [(each.path, each.severity) for each in found if each.code == "OWS024"]


@pytest.mark.parametrize(("tasks", "place"), ENDLESS.values(), ids=ENDLESS)
def test_a_loop_that_nothing_leads_out_of_is_an_error(tasks: str, place: str) -> None:
    assert loops(tasks) == [(place, Severity.ERROR)]


@pytest.mark.parametrize("tasks", ENDED_BY_AN_ERROR.values(), ids=ENDED_BY_AN_ERROR)
def test_a_loop_that_only_an_error_ends_is_a_warning(tasks: str) -> None:
    assert [severity for _, severity in loops(tasks)] == [Severity.WARNING]


def test_a_time_limit_of_the_flow_ends_a_loop_too() -> None:
    tasks = "- a: {wait: PT1S, then: a}"
    assert [severity for _, severity in loops(tasks, "timeout: {after: PT1H}\n")] == [
        Severity.WARNING
    ]


@pytest.mark.parametrize("tasks", LEFT.values(), ids=LEFT)
def test_a_loop_with_a_way_out_is_no_problem(tasks: str) -> None:
    assert loops(tasks) == []


def test_the_message_names_the_tasks() -> None:
    [problem] = lint(
        loaded("- a: {wait: PT1S}\n- b: {wait: PT1S, then: a}"), standards=NO_STANDARDS
    )
    assert problem.message == "`a` → `b` → `a` repeats for ever: no condition leads out of it"
