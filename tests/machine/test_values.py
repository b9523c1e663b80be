"""Small parts of the machine: values, errors, resources, order, and the observer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from coe.json_types import JSON
from coe.language.branches import outcomes
from coe.language.json_schema.patterns import fault_of, matches_whole
from coe.language.request_arguments import request_problems
from coe.machine import machine
from coe.machine.clock import LATEST, later
from coe.machine.commands import Completed, RunLeaf
from coe.machine.errors import TaskFault, normalised_error
from coe.machine.facts import Fact, FactKind
from coe.machine.interpreter import EndRun, StepData
from coe.machine.machine import EvaluateJq, RunContext
from coe.machine.scope import json_equal
from coe.settings import Settings
from coe.testing.cases import DEFAULT_START
from tests.machine.driver import HTTP, Driver, key
from tests.machine.scenarios import definition

BASE = "https://open-workflow-specification.org/spec/1.0.0/errors/"
ASK = {"title": "Look", "candidates": {"roles": ["clerk"]}}


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        (1, 1, True),
        (1, 1.0, True),
        (1, 2, False),
        (True, 1, False),
        (1, True, False),
        (False, 0, False),
        (True, True, True),
        (True, False, False),
        (None, None, True),
        (None, False, False),
        ("1", 1, False),
        ([], [], True),
        ([1, 2], [1, 2], True),
        ([1, 2], [1, 3], False),
        ([1, 2], [2, 2], False),
        ([1, 2], [1], False),
        ([1], [True], False),
        ([], {}, False),
        ({}, [], False),
        ([1], 1, False),
        (1, [1], False),
        ({"a": 1}, 1, False),
        (1, {"a": 1}, False),
        ({}, {}, True),
        ({"a": 1, "b": [2]}, {"b": [2], "a": 1}, True),
        ({"a": 1}, {"a": True}, False),
        ({"a": 1, "b": 1}, {"a": 1, "b": 2}, False),
        ({"a": 1, "b": 1}, {"a": 2, "b": 1}, False),
        ({"a": 1}, {"b": 1}, False),
        ({"a": 1}, {"a": 1, "b": 1}, False),
    ],
)
def test_values_are_equal_as_json(one: Any, other: Any, equal: Any):
    assert json_equal(one, other) is equal


@pytest.mark.parametrize(
    ("given", "clean"),
    [
        (None, {"type": BASE + "runtime", "status": 500, "instance": "/here"}),
        ({}, {"type": BASE + "runtime", "status": 500, "instance": "/here"}),
        (
            {"type": BASE + "timeout"},
            {"type": BASE + "timeout", "status": 408, "instance": "/here"},
        ),
        ({"type": "urn:x"}, {"type": "urn:x", "status": 500, "instance": "/here"}),
        ({"type": "urn:x", "status": "4"}, {"type": "urn:x", "status": 500, "instance": "/here"}),
        ({"type": "urn:x", "status": True}, {"type": "urn:x", "status": 500, "instance": "/here"}),
        (
            {
                "type": "urn:x",
                "status": 4,
                "title": 1,
                "detail": None,
                "other": 2,
                "instance": "/i",
            },
            {"type": "urn:x", "status": 4, "title": "1", "instance": "/i"},
        ),
    ],
)
def test_an_error_has_all_that_the_language_requires(given: Any, clean: Any):
    assert normalised_error(given, "/here") == clean


def test_a_repr_shows_no_data():
    fault = TaskFault({"type": "urn:x", "detail": "canary"})
    assert (str(fault), fault.args) == ("urn:x", ("urn:x",))
    end = EndRun({"name": "canary"})
    assert (str(end), end.args) == ("end", ("end",))


def test_how_often_a_task_may_be_entered_is_the_settings_default():
    default = Settings.model_fields["max_task_visits"].default
    assert RunContext("run").max_visits == default == 10_000


def test_a_pattern_of_an_event_matches_the_whole_value():
    assert fault_of("order[.](paid|sent)") is None
    assert matches_whole("order[.](paid|sent)", "order.sent")
    assert not matches_whole("order[.](paid|sent)", "order.sent.again")
    assert matches_whole("(?!order[.]test)order[.].*", "order.paid")
    assert not matches_whole("(?!order[.]test)order[.].*", "order.test")
    assert "look-around" in str(fault_of("order(?=[.])"))


async def test_a_validation_error_lists_a_limited_number_of_violations(evaluate: EvaluateJq):
    schema = {"document": {"type": "array", "items": {"type": "string"}}}
    run = Driver({"do": [{"a": {"input": {"schema": schema}, "set": {}}}]}, evaluate)
    await run.start(list(range(20)))
    error: Any = getattr(run.machine.outcome, "error", {})
    violations = error.pop("detail").split("; ")
    assert len(violations) == 10
    assert all(each.startswith("/") for each in violations)
    assert error == {
        "type": BASE + "validation",
        "status": 400,
        "title": "Data does not match its schema",
        "instance": "/do/0/a",
    }


async def test_a_task_whose_name_is_a_pointer_knows_its_definition(evaluate: EvaluateJq):
    name = "a/b~1"
    run = Driver({"do": [{name: {"set": "${ $task | {name, reference, definition} }"}}]}, evaluate)
    await run.start()
    assert run.machine.outcome == Completed(
        {
            "name": name,
            "reference": "/do/0/a~1b~01",
            "definition": {"set": "${ $task | {name, reference, definition} }"},
        }
    )


# ---------------------------------------------------------------- resources
async def test_a_caught_deadline_leaves_nothing_behind(evaluate: EvaluateJq):
    timed = {"do": [{"slow": HTTP}], "timeout": {"after": "PT1S"}}
    flow = {"do": [{"t": {"try": [{"timed": timed}], "catch": {}}}, {"after": HTTP}]}
    run = Driver(flow, evaluate)
    [timer, _] = await run.start()
    [_, leaf] = await run.fact(FactKind.TIMER_FIRED, timer.key)
    assert leaf.name == "after"
    root = run.machine._root
    assert root is not None
    assert len(root.children) == 0
    assert list(root.keys) == [leaf.key]
    assert list(root.steps) == [leaf.key]


async def test_listening_leaves_nothing_behind(evaluate: EvaluateJq):
    receive = {"listen": {"to": {"one": {"with": {"type": "t"}}}}}
    flow = {"do": [{"loop": {"for": {"in": [1, 2, 3]}, "do": [{"receive": receive}]}}, {"a": HTTP}]}
    run = Driver(flow, evaluate)
    await run.start()
    for number in range(3):
        event: JSON = {"event": {"type": "t", "source": "s", "id": str(number)}}
        await run.fact(FactKind.EVENT_CONSUMED, data=event)
        assert len(run.machine._run.events.kept) == 1
    assert run.machine._run.events.listening == {}
    assert [each.name for each in run.machine.pending()] == ["a"]


async def test_an_answered_command_leaves_nothing_behind(evaluate: EvaluateJq):
    run = Driver({"do": [{"a": HTTP}, {"b": HTTP}, {"c": HTTP}]}, evaluate)
    [leaf] = await run.start()
    root = run.machine._root
    assert root is not None
    for _ in range(2):
        [leaf] = await run.done(leaf)
        assert (list(root.keys), list(root.steps)) == ([leaf.key], [leaf.key])


# ---------------------------------------------------------------- order
async def test_concurrent_listeners_continue_in_document_order(evaluate: EvaluateJq):
    receive = {"listen": {"to": {"one": {"with": {"type": "t"}}}}}
    branches = [{name: {"do": [{"receive": receive}, {f"{name}1": HTTP}]}} for name in "abc"]
    run = Driver({"do": [{"fork": {"fork": {"branches": branches}}}]}, evaluate)
    await run.start()
    commands = await run.fact(
        FactKind.EVENT_CONSUMED, data={"event": {"type": "t", "source": "s", "id": "1"}}
    )
    leaves = [each.name for each in commands if isinstance(each, RunLeaf)]
    assert leaves == ["a1", "b1", "c1"]


async def test_after_a_retry_the_faulted_step_continues_first(evaluate: EvaluateJq):
    good = {"do": [{"one": HTTP}, {"two": HTTP}]}
    flow = {"do": [{"fork": {"fork": {"branches": [{"good": good}, {"bad": HTTP}]}}}]}
    run = Driver(flow, evaluate)
    one, bad = await run.start()
    await run.failed(bad)
    await run.done(one)
    commands = await run.fact(FactKind.RUN_RETRIED)
    assert [(each.name, each.attempt) for each in commands] == [("bad", 2), ("two", 1)]


async def test_a_run_that_was_retried_can_fault_and_be_retried_again(evaluate: EvaluateJq):
    timed = {"do": [{"a": HTTP}], "timeout": {"after": "PT1H"}}
    run = Driver({"do": [{"timed": timed}]}, evaluate)
    timer, leaf = await run.start()
    due = timer.due
    for pause in (10, 20):
        await run.failed(leaf)
        run.now += timedelta(seconds=pause)
        commands = await run.fact(FactKind.RUN_RETRIED)
        [leaf] = [each for each in commands if isinstance(each, RunLeaf)]
        [timer] = [each for each in commands if not isinstance(each, RunLeaf)]
        due += timedelta(seconds=pause + 1)
        assert timer.due == due


async def test_steps_have_their_start_and_end_times(evaluate: EvaluateJq):
    run = Driver({"do": [{"fork": {"fork": {"branches": [{"a": HTTP}, {"b": HTTP}]}}}]}, evaluate)
    a, b = await run.start()
    at = [DEFAULT_START + timedelta(seconds=number) for number in range(6)]
    running = run.machine.changed_steps()
    assert [(each.started_at, each.ended_at) for each in running] == [(at[0], None)] * 3
    await run.failed(b)
    halted = {each.name: each for each in run.machine.changed_steps()}
    states = {name: (each.state, each.ended_at) for name, each in halted.items()}
    assert states == {
        "fork": ("FAULTED", at[1]),
        "a": ("CANCELLED", at[1]),
        "b": ("FAULTED", at[1]),
    }
    await run.fact(FactKind.RUN_RETRIED)
    resumed = [(each.name, each.state, each.ended_at) for each in run.machine.changed_steps()]
    assert sorted(resumed, key=str) == [
        ("a", "RUNNING", None),
        ("b", "FAULTED", at[2]),
        ("b", "RUNNING", None),
        ("fork", "RUNNING", None),
    ]
    await run.done(a)
    [done] = run.machine.changed_steps()
    assert (done.state, done.started_at, done.ended_at) == ("COMPLETED", at[0], at[3])


async def test_a_passed_deadline_has_a_new_key_after_a_retry(evaluate: EvaluateJq):
    timed = {"do": [{"slow": HTTP}], "timeout": {"after": "PT10S"}}
    run = Driver({"do": [{"timed": timed}]}, evaluate)
    [first, _] = await run.start()
    await run.fact(FactKind.TIMER_FIRED, first.key)
    commands = await run.fact(FactKind.RUN_RETRIED)
    [second] = [each for each in commands if not isinstance(each, RunLeaf)]
    assert first.key == key("/do/0/timed", parts=("timeout", 0))
    assert second.key == key("/do/0/timed", parts=("timeout", 1))
    assert await run.fact(FactKind.TIMER_FIRED, first.key) == []
    assert run.machine.outcome is None


async def test_a_human_task_without_a_due_time_survives_a_retry(evaluate: EvaluateJq):
    ask = {"call": "humanTask:1@default", "with": ASK}
    run = Driver({"do": [{"f": {"fork": {"branches": [{"ask": ask}, {"a": HTTP}]}}}]}, evaluate)
    task, leaf = await run.start()
    await run.failed(leaf)
    assert (await run.fact(FactKind.RUN_RETRIED))[0] == task


# ---------------------------------------------------------------- the observer
@pytest.mark.parametrize(
    ("wanted", "types", "expected"),
    [
        ({"any": [{"with": {"type": "a"}}, {"with": {"type": "b"}}]}, "b", [outcomes.takes(2)]),
        ({"any": []}, "b", [outcomes.takes(1)]),
        (
            {"all": [{"with": {"type": "a"}}, {"with": {"type": "b"}}]},
            "ba",
            [outcomes.takes(2), outcomes.takes(1)],
        ),
        (
            {"any": [{"with": {"type": "a"}}], "until": {"one": {"with": {"type": "b"}}}},
            "b",
            [outcomes.NO_EVENT],
        ),
        (
            {"any": [{"with": {"type": "a"}}], "until": {"one": {"with": {"type": "b"}}}},
            "ab",
            [outcomes.takes(1)],
        ),
    ],
)
async def test_the_observer_receives_the_consumed_events(
    wanted: Any, types: str, expected: list[str], evaluate: EvaluateJq
):
    seen: list[str] = []
    flow = definition({"do": [{"receive": {"listen": {"to": wanted}}}]})
    run = machine.Machine(
        flow, RunContext("run"), evaluate, observer=lambda _, way: seen.append(way)
    )
    await run.apply(Fact(FactKind.RUN_STARTED, DEFAULT_START, data={"input": None}))
    for number, kind in enumerate(types):
        event = {"type": kind, "source": "s", "id": str(number)}
        await run.apply(Fact(FactKind.EVENT_CONSUMED, DEFAULT_START, data={"event": event}))
    assert isinstance(run.outcome, Completed)
    assert seen == expected


async def test_the_observer_receives_the_outcome_of_a_human_task(evaluate: EvaluateJq):
    seen: list[str] = []
    ask = {"call": "humanTask:1@default", "with": ASK}
    flow = definition({"do": [{"ask": ask}]})
    run = machine.Machine(
        flow, RunContext("run"), evaluate, observer=lambda _, way: seen.append(way)
    )
    [task] = await run.apply(Fact(FactKind.RUN_STARTED, DEFAULT_START, data={"input": None}))
    await run.apply(Fact(FactKind.TASK_ANSWERED, DEFAULT_START, task.key, {"outcome": "rejected"}))
    assert seen == [outcomes.ANSWERED, outcomes.decides("rejected")]


# ---------------------------------------------------------------- requests
@pytest.mark.parametrize(
    ("given", "problems"),
    [
        ({"endpoint": "http://a.example"}, []),
        ({"endpoint": "HTTPS://a.example:8443/b?c=../d#/../e"}, []),
        ({"endpoint": "https://a.example/b c/…"}, []),
        ({"endpoint": "https://../b"}, []),
        ({"endpoint": "https://a.example/%252541"}, []),
        ({"endpoint": "https://a.example:0/"}, ["`endpoint` is not an http or https address"]),
        ({"endpoint": "https://a.example:x/"}, ["`endpoint` is not an http or https address"]),
        ({"document": "file:///etc"}, ["`document` is not an http or https address"]),
        ({"method": 5}, ["`method` is not the name of a method, such as get"]),
        ({"method": "get it"}, ["`method` is not the name of a method, such as get"]),
        ({"method": ""}, ["`method` is not the name of a method, such as get"]),
        ({"method": "PROPFIND", "headers": {"a": 1, "b": True, "c": None}, "query": {"a": []}}, []),
        (
            {"headers": {"a": None, "b": "é"}},
            ["the header `b` has characters other than printable ASCII"],
        ),
    ],
)
def test_the_arguments_of_a_request(given: dict[str, Any], problems: list[str]):
    assert list(request_problems(given)) == problems


@pytest.mark.parametrize(
    "path",
    [
        *(".", "a/../b", "%2e/b", "a/%2E%2e", "a/.%2e/b", "%2e.", "a/..?b", "..#b", "a\\..\\b"),
        *("..;v=1/b", "%252e%252e/b", "%25252541"),
    ],
)
def test_a_path_that_leads_elsewhere(path: str):
    url = f"https://a.example/{path}"
    assert list(request_problems({"endpoint": url})) == [
        "the path of `endpoint` contains `.` or `..`"
    ]


def test_a_time_is_at_most_the_end_of_the_calendar():
    day = timedelta(days=1)
    assert datetime(9999, 1, 1, tzinfo=UTC) == LATEST
    assert later(DEFAULT_START, day) == DEFAULT_START + day
    assert later(LATEST - 2 * day, day) == LATEST - day
    assert later(LATEST, day) == LATEST
    assert later(LATEST + day, day) == LATEST + day


async def test_the_data_of_steps_is_observed_at_their_end(evaluate: EvaluateJq):
    flow = {
        "use": {"secrets": ["erp"]},
        "do": [
            {
                "first": {
                    "input": {"from": "${ {n: .n, s: $secrets.erp} }"},
                    "set": "${ .n }",
                    "output": {"as": "[.]"},
                    "export": {"as": "{was: .[0]}"},
                }
            },
            {"second": {"set": {}, "export": {"as": "{}"}}},
            {"call": HTTP},
        ],
    }
    seen: list[StepData] = []
    run = machine.Machine(
        definition(flow),
        RunContext("run-1", secrets={"erp": "canary-0001"}),
        evaluate,
        data_observer=seen.append,
    )
    start = {"input": {"n": 7}}
    await run.apply(Fact(FactKind.RUN_STARTED, DEFAULT_START, data=start))
    given = {"n": 7, "s": "[REDACTED]"}
    assert seen == [
        StepData(key("/do/0/first"), {"n": 7}, given, [7], {"was": 7}),
        StepData(key("/do/1/second"), [7], [7], {}, {}),
    ]
    assert run.open_data() == [StepData(key("/do/2/call"), {}, {}, None, {})]
