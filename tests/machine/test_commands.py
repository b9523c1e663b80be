"""The commands of the machine, member by member."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from coe.json_types import JSON
from coe.language.branches import outcomes
from coe.machine.clock import LATEST
from coe.machine.commands import ArmTimer, Completed, OpenHumanTask, RunLeaf, StartChild
from coe.machine.facts import Fact, FactKind
from coe.machine.machine import EvaluateJq, Machine, RunContext
from coe.testing.cases import DEFAULT_START
from tests.machine.driver import HTTP, Driver, key
from tests.machine.scenarios import definition

ASK = {"title": "Look", "candidates": {"roles": ["clerk"]}}


async def test_the_command_of_an_http_call_is_complete(evaluate: EvaluateJq):
    endpoint = {
        "uri": "https://a.example/{id}",
        "authentication": {"basic": {"username": "${ .u }", "password": "${ $secrets.erp }"}},
    }
    arguments = {"method": "put", "endpoint": endpoint, "body": None, "output": "raw"}
    flow = {"use": {"secrets": ["erp"]}, "do": [{"send": {"call": "http", "with": arguments}}]}
    run = Driver(flow, evaluate, secrets={"erp": "canary-0001"})
    assert await run.start({"id": 7, "u": "ann"}) == [
        RunLeaf(
            key=key("/do/0/send"),
            path="/do/0/send",
            name="send",
            kind="http",
            arguments={
                "method": "put",
                "endpoint": "https://a.example/7",
                "body": None,
                "output": "raw",
                "redirect": False,
            },
            attempt=1,
            authentication={"basic": {"username": "ann", "password": "canary-0001"}},
            secrets=("YW5uOmNhbmFyeS0wMDAx", "canary-0001"),
            team="tests",
            run="run-1",
        )
    ]


async def test_an_openapi_call_has_separate_credentials_for_its_document(
    evaluate: EvaluateJq,
):
    document = {
        "endpoint": {
            "uri": "https://a.example/{v}.json",
            "authentication": {"bearer": {"token": "of-the-document"}},
        }
    }
    arguments = {
        "document": document,
        "operationId": "find",
        "parameters": {"a": "${ .a }"},
        "authentication": {"digest": {"username": "ann", "password": "of-the-call"}},
        "output": "response",
        "redirect": True,
    }
    find = {"call": "openapi", "with": arguments, "output": {"as": "$authorization"}}
    run = Driver({"do": [{"find": find}]}, evaluate)
    [leaf] = await run.start({"v": "v2", "a": 1})
    assert leaf.kind == "openapi"
    assert leaf.arguments == {
        "document": "https://a.example/v2.json",
        "operationId": "find",
        "parameters": {"a": 1},
        "output": "response",
        "redirect": True,
    }
    assert leaf.authentication == {"digest": {"username": "ann", "password": "of-the-call"}}
    assert leaf.document_authentication == {"bearer": {"token": "of-the-document"}}
    assert leaf.secrets == ("of-the-document", "of-the-call")
    await run.done(leaf)
    assert run.machine.outcome == Completed({"scheme": "Digest", "parameter": None})


async def test_a_document_without_authentication_leaves_none_to_the_call(evaluate: EvaluateJq):
    document = {
        "endpoint": {
            "uri": "https://a.example/v2.json",
            "authentication": {"bearer": {"token": "of-the-document"}},
        }
    }
    find = {
        "call": "openapi",
        "with": {"document": document, "operationId": "find"},
        "output": {"as": "[$authorization]"},
    }
    run = Driver({"do": [{"find": find}]}, evaluate)
    [leaf] = await run.start()
    assert leaf.authentication is None
    await run.done(leaf)
    assert run.machine.outcome == Completed([None])


@pytest.mark.parametrize("scheme", ["oauth2", "oidc"])
async def test_the_policy_of_a_token_is_passed_on(scheme: str, evaluate: EvaluateJq):
    policy = {
        "authority": "https://login.example/{tenant}",
        "grant": "client_credentials",
        "client": {"id": "coe", "secret": "of-the-client", "assertion": "an-assertion"},
        "scopes": ["${ .scope }", "plain"],
        "subject": {"token": "of-the-subject", "type": "t"},
    }
    if scheme == "oauth2":
        policy["endpoints"] = {"token": "/{tenant}/token"}
    endpoint = {"uri": "https://a.example", "authentication": {scheme: policy}}
    call = {"call": "http", "with": {"method": "get", "endpoint": endpoint}}
    run = Driver({"do": [{"send": {**call, "output": {"as": "$authorization"}}}]}, evaluate)
    [leaf] = await run.start({"tenant": "a b", "scope": "read"})
    given: Any = leaf.authentication[scheme]
    assert given["authority"] == "https://login.example/a%20b"
    assert given["scopes"] == ["read", "plain"]
    assert "username" not in given
    if scheme == "oauth2":
        assert given["endpoints"] == {
            "token": "/a%20b/token",
            "revocation": "/oauth2/revoke",
            "introspection": "/oauth2/introspect",
        }
    else:
        assert "endpoints" not in given
    assert leaf.secrets == ("of-the-subject", "of-the-client", "an-assertion")
    await run.done(leaf)
    assert run.machine.outcome == Completed({"scheme": "Bearer", "parameter": None})


async def test_oauth2_without_endpoints_has_none(evaluate: EvaluateJq):
    policy = {"authority": "https://login.example", "grant": "client_credentials"}
    endpoint = {"uri": "https://a.example", "authentication": {"oauth2": policy}}
    call = {"call": "http", "with": {"method": "get", "endpoint": endpoint}}
    [leaf] = await Driver({"do": [{"send": call}]}, evaluate).start()
    assert "endpoints" not in leaf.authentication["oauth2"]


async def test_a_token_may_come_from_a_whole_secret(evaluate: EvaluateJq):
    endpoint = {"uri": "https://a.example", "authentication": {"oidc": {"use": "erp"}}}
    call = {"call": "http", "with": {"method": "get", "endpoint": endpoint}}
    flow = {"use": {"secrets": ["erp"]}, "do": [{"send": call}]}
    secret = {"authority": "https://login.example", "grant": "password", "password": "whole-one"}
    [leaf] = await Driver(flow, evaluate, secrets={"erp": secret}).start()
    assert leaf.authentication == {"oidc": secret}
    assert leaf.secrets == ("https://login.example", "whole-one", "password")


@pytest.mark.parametrize(
    ("declared", "secrets"),
    [(["other"], {"erp": {"username": "a", "password": "b"}, "other": "x"}), (["erp"], {"erp": 1})],
)
async def test_only_a_declared_secret_of_the_right_shape_is_used(
    declared: list[str], secrets: dict[str, Any], evaluate: EvaluateJq
):
    endpoint = {"uri": "https://a.example", "authentication": {"basic": {"use": "erp"}}}
    call = {"call": "http", "with": {"method": "get", "endpoint": endpoint}}
    flow = {"use": {"secrets": declared}, "do": [{"send": call}]}
    run = Driver(flow, evaluate, secrets=secrets)
    await run.start()
    error: Any = getattr(run.machine.outcome, "error", {})
    assert (error["status"], error["title"]) == (403, "The secret erp is not available")


@pytest.mark.parametrize("name", ["decision", "notify"])
async def test_a_catalog_function_becomes_a_leaf_of_its_name(name: str, evaluate: EvaluateJq):
    arguments: dict[str, dict[str, Any]] = {
        "decision": {"ref": "sales/discount", "input": {"total": "${ .n }"}},
        "notify": {"channel": "mail", "to": "a@b.example", "subject": "s", "body": "b"},
    }
    call = {"call": f"{name}:1@default", "with": arguments[name]}
    [leaf] = await Driver({"do": [{"a": call}]}, evaluate).start({"n": 5})
    assert leaf.kind == name
    wanted = {"ref": "sales/discount", "input": {"total": 5}}
    assert leaf.arguments == (wanted if name == "decision" else arguments[name])


async def test_one_approval_is_enough_by_default(evaluate: EvaluateJq):
    ask = {"call": "humanTask:1@default", "with": {**ASK, "remind": "PT1H"}}
    [task] = await Driver({"do": [{"ask": ask}]}, evaluate).start()
    assert task == OpenHumanTask(
        key=key("/do/0/ask"),
        path="/do/0/ask",
        name="ask",
        arguments={**ASK, "remind": "PT1H"},
        place=("/do/0/ask",),
        approvals=1,
        reminders=(DEFAULT_START + timedelta(hours=1),),
    )


async def test_an_invalid_timeout_of_a_local_flow_faults_the_step(evaluate: EvaluateJq):
    arguments = {"ref": "a/b", "timeout": {"days": 10**12}}
    run = Driver({"do": [{"a": {"call": "localFlow:1@default", "with": arguments}}]}, evaluate)
    await run.start()
    error: Any = getattr(run.machine.outcome, "error", {})
    assert (error["status"], error["instance"]) == (400, "/do/0/a")


@pytest.mark.parametrize("name", ["dueIn", "remind"])
async def test_an_invalid_duration_faults_its_step(name: str, evaluate: EvaluateJq):
    arguments = {**ASK, name: {"days": 10**12}}
    ask = {"call": "humanTask:1@default", "with": arguments}
    run = Driver({"do": [{"ask": ask}]}, evaluate)
    await run.start()
    error: Any = getattr(run.machine.outcome, "error", {})
    assert (error["status"], error["instance"]) == (400, "/do/0/ask")


async def test_a_local_flow_has_a_timeout_beside_the_task_timeout(evaluate: EvaluateJq):
    arguments = {"ref": "a/b", "timeout": "PT1H"}
    call = {"call": "localFlow:1@default", "with": arguments, "timeout": {"after": "PT2H"}}
    run = Driver({"do": [{"a": call}]}, evaluate)
    commands = await run.start()
    timers = [each for each in commands if isinstance(each, ArmTimer)]
    assert {each.key: each.due for each in timers} == {
        key("/do/0/a", parts=("timeout", 0)): DEFAULT_START + timedelta(hours=2),
        key("/do/0/a", parts=("call", 0)): DEFAULT_START + timedelta(hours=1),
    }
    [child] = [each for each in commands if isinstance(each, StartChild)]
    await run.fact(FactKind.CHILD_COMPLETED, child.key, {"output": "theirs"})
    assert run.machine.outcome == Completed("theirs")
    assert run.machine.pending() == []


async def test_the_deadline_of_the_flow_names_the_flow(evaluate: EvaluateJq):
    flow = {"do": [{"a": HTTP}], "timeout": {"after": "PT1H"}}
    [timer, leaf] = await Driver(flow, evaluate).start()
    assert (timer.key, timer.path, timer.name) == (
        key("/do", parts=("timeout", 0)),
        "/do",
        "scenario",
    )
    assert leaf.path == "/do/0/a"


async def test_a_delay_grows_to_at_most_thirty_days(evaluate: EvaluateJq):
    retry = {"delay": "P1D", "backoff": {"exponential": {}}}
    flow = {"do": [{"t": {"try": [{"a": HTTP}], "catch": {"retry": retry}}}]}
    run = Driver(flow, evaluate)
    commands = await run.start()
    for number in range(200):
        at = run.now
        [timer] = await run.failed(commands[0])
        wanted = timedelta(days=2**number) if number < 5 else timedelta(days=30)
        assert timer.due - at == wanted
        commands = await run.fact(FactKind.TIMER_FIRED, timer.key)


async def test_no_due_time_is_beyond_the_calendar(evaluate: EvaluateJq):
    human = {
        "title": "t",
        "candidates": {"roles": ["lead"]},
        "dueIn": "P366000D",
        "remind": "P366000D",
    }
    flow = {
        "do": [
            {
                "all": {
                    "fork": {
                        "branches": [
                            {"pause": {"wait": "P366000D"}},
                            {"ask": {"call": "humanTask:1@default", "with": human}},
                            {"call": HTTP | {"timeout": {"after": "P366000D"}}},
                        ]
                    }
                }
            }
        ]
    }
    for start in (LATEST - timedelta(days=1), LATEST + timedelta(days=1)):
        run = Driver(flow, evaluate)
        run.now = start
        pause, ask, timeout, _ = await run.start()
        latest = max(start, LATEST)
        assert {pause.due, ask.due, *ask.reminders, timeout.due} == {latest}


FUNCTIONS: dict[str, Any] = {"get": {"do": [{"leaf": HTTP}]}}


@pytest.mark.parametrize(
    ("tasks", "wanted"),
    [
        (
            [{"f": {"fork": {"branches": [{"b": HTTP}]}}}],
            key("/do/0/f/fork/branches/0/b", visits=(1, 1), attempts=(1, 1)),
        ),
        (
            [{"f": {"fork": {"compete": True, "branches": [{"b": HTTP}]}}}],
            key("/do/0/f/fork/branches/0/b", visits=(1, 1), attempts=(1, 1)),
        ),
        (
            [{"t": {"try": [{"a": HTTP}], "catch": {}}}],
            key("/do/0/t/try/0/a", visits=(1, 1), attempts=(1, 1, 1)),
        ),
        (
            [
                {
                    "l": {
                        "for": {"in": [1]},
                        "do": [{"c": {"call": "get"}}],
                    }
                }
            ],
            key(
                "/use/functions/get/do/0/leaf",
                base=key("/do/0/l/do/0/c", iterations=(0,), visits=(1, 1), attempts=(1, 1)),
                visits=(1, 1),
                attempts=(1, 1),
            ),
        ),
        (
            [{"p": {"call": "parallelMap:1@default", "with": {"in": [1], "do": [{"a": HTTP}]}}}],
            key("/do/0/p/with/do/0/a", iterations=(0,), visits=(1, 1), attempts=(1, 1)),
        ),
    ],
)
async def test_keys_of_leaves_never_change(tasks: list[Any], wanted: str, evaluate: EvaluateJq):
    run = Driver({"do": tasks, "use": {"functions": FUNCTIONS}}, evaluate)
    [leaf] = [each for each in await run.start() if isinstance(each, RunLeaf)]
    assert leaf.key == wanted


async def test_facts_without_a_pending_command_change_nothing(evaluate: EvaluateJq):
    run = Driver({"do": [{"a": HTTP}]}, evaluate)
    [leaf] = await run.start()
    due: JSON = {"due": DEFAULT_START.isoformat()}
    for kind, place, data in (
        (FactKind.TIMER_ARMED, "unknown", due),
        (FactKind.TIMER_ARMED, leaf.key, due),
        (FactKind.CHILD_STARTED, "unknown", {"run": "r"}),
        (FactKind.TASK_ANSWERED, "unknown", {"outcome": "approved"}),
        (FactKind.RUN_RETRIED, "", None),
        (FactKind.EVENT_CONSUMED, "", {"event": {"type": "t", "source": "s", "id": "1"}}),
    ):
        assert await run.fact(kind, place, data) == []
        assert run.machine.pending() == [leaf]
    assert run.machine._run.events.kept == []


async def test_attempts_have_timeouts_beside_that_of_the_try(evaluate: EvaluateJq):
    retry = {"delay": "PT1S", "limit": {"attempt": {"count": 2, "duration": "PT5S"}}}
    tried = {"try": [{"a": HTTP}], "catch": {"retry": retry}, "timeout": {"after": "PT1H"}}
    run = Driver({"do": [{"t": tried}]}, evaluate)
    [whole, leaf] = await run.start()
    keys = [whole.key]
    for number in (1, 2):
        [*_, pause] = await run.failed(leaf)
        assert pause.key == key("/do/0/t", parts=("retry", number))
        timer, leaf = await run.fact(FactKind.TIMER_FIRED, pause.key)
        assert timer.key == key("/do/0/t", parts=("attempt", number + 1, 0))
        keys.append(timer.key)
    assert len(set(keys)) == 3
    assert {each.key for each in run.machine.pending()} == {whole.key, timer.key, leaf.key}


async def test_events_on_which_an_expression_fails_are_counted_and_located(evaluate: EvaluateJq):
    filters = [
        {"with": {"type": "t", "data": {"a/b": "${ .x > 1 }"}}},
        {"with": {"type": "t"}, "correlate": {"or~der": {"from": ".data.order"}}},
    ]
    listen = {"to": {"any": filters, "until": "map(.order.n) | add > 9"}}
    run = Driver({"do": [{"receive": {"listen": listen}}]}, evaluate)
    await run.start()

    async def send(number: int, data: Any) -> Any:
        event = {"type": "t", "source": "s", "id": str(number), "data": data}
        await run.fact(FactKind.EVENT_CONSUMED, data={"event": event})
        [use] = run.machine.event_uses()
        assert use.event is event
        [step] = run.machine.changed_steps()[-1:] or [None]
        return use.taken, use.pointer, step and step.unmatched, step and step.unmatched_at

    place = "/do/0/receive/listen/to"
    correlation = f"{place}/any/1/correlate/or~0der/from"
    run.machine.changed_steps()
    assert await send(1, "text") == (False, correlation, 1, correlation)
    a_filter = f"{place}/any/0/with/data/a~1b"
    assert await send(2, {"a/b": "text"}) == (False, a_filter, 2, a_filter)
    assert await send(3, {"a/b": "text", "order": {"n": 1}}) == (True, "/do/0/receive", None, None)
    assert await send(4, {"a/b": {"x": 2}, "order": "text"}) == (
        *(False, f"{place}/until", 3, f"{place}/until"),
    )
    assert run.machine.event_uses() == []
    assert run.machine.outcome is None
    last = {"order": {"n": 1}}
    assert await send(5, last) == (True, "/do/0/receive", None, None)


async def test_an_event_of_one_or_all_that_fails_is_located(evaluate: EvaluateJq):
    for strategy, place in (("one", "one"), ("all", "all/0")):
        given: Any = {"with": {"type": "t", "subject": "${ .data.a }"}}
        to = {strategy: given if strategy == "one" else [given]}
        run = Driver({"do": [{"receive": {"listen": {"to": to}}}]}, evaluate)
        await run.start()
        event = {"type": "t", "source": "s", "id": "1", "data": "text"}
        await run.fact(FactKind.EVENT_CONSUMED, data={"event": event})
        [use] = run.machine.event_uses()
        assert use.pointer == f"/do/0/receive/listen/to/{place}/with/subject"


async def test_until_of_several_events_ends_with_the_last_of_them(evaluate: EvaluateJq):
    ends = {"all": [{"with": {"type": "a"}}, {"with": {"type": "b"}}]}
    to = {"any": [{"with": {"type": "t"}}], "until": ends}
    flow = definition({"do": [{"receive": {"listen": {"to": to}}}]})
    seen: list[str] = []
    machine = Machine(
        flow, RunContext("run-1"), evaluate, observer=lambda _, outcome: seen.append(outcome)
    )
    await machine.apply(Fact(FactKind.RUN_STARTED, DEFAULT_START, data={"input": None}))
    for number, kind in enumerate("ab"):
        assert outcomes.NO_EVENT not in seen
        event: JSON = {"type": kind, "source": "s", "id": str(number)}
        await machine.apply(Fact(FactKind.EVENT_CONSUMED, DEFAULT_START, data={"event": event}))
    assert seen == [outcomes.NO_EVENT]
    assert machine.outcome == Completed([])
