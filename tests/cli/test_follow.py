"""Following a run: what is printed, where it stops, how it is left and taken up again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from coe.cli.api_client import ApiClient
from coe.cli.documents import plain_id
from coe.errors import Unavailable
from tests.cli.commands import RUN_ID, run

KEY = plain_id(RUN_ID)


def step(name: str, state: str, **more: Any) -> dict[str, Any]:
    empty = dict.fromkeys(
        ("iteration", "humanTask", "childRun", "waitsBecause", "unmatchedEvents", "unmatchedAt")
    )
    return empty | {
        "id": name, "name": name, "kind": "http", "state": state, "attempt": 1, **more,
    }  # fmt: skip


def state(state: str, *steps: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": RUN_ID,
        "state": state,
        "version": {"ref": "sales/x@1.0.0"},
        "waitsBecause": None,
        "interventions": [],
        "steps": list(steps),
        "output": None,
        "error": None,
    }


TASK = {
    "id": RUN_ID, "title": "Approve", "state": "OPEN", "candidateRoles": ["finance/lead"],
    "assignee": None, "dueAt": None,
}  # fmt: skip
WAITS = step("ask", "WAITING", humanTask=TASK)


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let the server answer with these states, one call after the other; the last one stays."""
    monkeypatch.setattr(time, "sleep", lambda _: None)

    def start(*states: dict[str, Any] | BaseException) -> None:
        left: Iterator[dict[str, Any] | BaseException] = iter(states)
        last = states[-1]

        def call(*_: object) -> dict[str, Any]:
            now = next(left, last)
            if isinstance(now, BaseException):
                raise now
            return {"run": now}

        monkeypatch.setattr(ApiClient, "call", call)

    return start


def watch(*more: str) -> Any:
    return run("run", "watch", KEY, "--token", "x", *more)


def test_each_step_is_shown_once_as_it_comes(play: Any) -> None:
    first, done = step("a", "RUNNING"), step("a", "COMPLETED")
    play(
        state("RUNNING", first),
        state("RUNNING", first),
        state("RUNNING", done, step("b", "RUNNING")),
        state("COMPLETED", done, step("b", "COMPLETED", attempt=2)),
    )
    shown = watch()
    assert shown.exit_code == 0
    lines = [line.split() for line in shown.stdout.splitlines() if line.startswith("  ")]
    assert [(line[0], line[2]) for line in lines] == [
        ("RUNNING", "a"), ("COMPLETED", "a"), ("RUNNING", "b"), ("COMPLETED", "b"),
    ]  # fmt: skip
    assert "(try 2)" in shown.stdout


def test_a_script_stops_where_the_run_waits_for_a_person(play: Any) -> None:
    play(state("RUNNING"), state("WAITING", WAITS))
    shown = watch()
    assert shown.exit_code == 4
    assert "waits for finance/lead: Approve" in shown.stdout
    assert f"coe task show {KEY}" in shown.stdout
    assert f"coe run watch {KEY}" in shown.stderr


def test_until_the_end_goes_on_through_the_waits(play: Any) -> None:
    play(state("WAITING", WAITS), state("WAITING", WAITS), state("COMPLETED"))
    shown = watch("--until", "end")
    assert shown.exit_code == 0
    assert shown.stdout.count("waits for") == 1


def test_ctrl_c_leaves_the_run_and_says_how_to_come_back(play: Any) -> None:
    play(state("RUNNING"), KeyboardInterrupt())
    shown = watch()
    assert shown.exit_code == 4
    assert f"coe run watch {KEY}" in shown.stderr


def test_elsewhere_ctrl_c_has_its_own_code(play: Any) -> None:
    play(KeyboardInterrupt())
    assert run("run", "show", KEY, "--token", "x").exit_code == 130


def test_a_server_that_restarts_is_asked_again(play: Any) -> None:
    play(state("RUNNING"), Unavailable("away"), Unavailable("away"), state("COMPLETED"))
    shown = watch()
    assert shown.exit_code == 0
    assert shown.stderr.count("trying again") == 1


def test_the_time_to_follow_is_bounded(play: Any) -> None:
    play(state("RUNNING"))
    assert watch("--wait", "0").exit_code == 4


@pytest.mark.parametrize(("end", "code"), [("COMPLETED", 0), ("FAULTED", 3), ("CANCELLED", 3)])
def test_the_end_of_a_run_has_its_code(play: Any, end: str, code: int) -> None:
    play(state(end))
    assert watch("--output", "json").exit_code == code
