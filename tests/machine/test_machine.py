from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson
import pytest

from coe.json_types import JSON
from coe.machine.commands import (
    ArmTimer,
    AwaitEvent,
    Cancel,
    Completed,
    Faulted,
    Finish,
    OpenHumanTask,
    RunLeaf,
    StartChild,
    TimerReason,
)
from coe.machine.facts import Fact, FactKind
from coe.machine.fibers import Scheduler
from coe.machine.machine import EvaluateJq, Machine, RunContext
from coe.testing.cases import DEFAULT_START
from tests.machine.driver import HTTP, Driver
from tests.machine.scenarios import definition


async def test_the_key_of_a_leaf_never_changes_between_releases(evaluate: EvaluateJq):
    run = Driver({"do": [{"a": {"for": {"in": [1, 2]}, "do": [{"b": HTTP}]}}]}, evaluate)
    [first] = await run.start()
    [second] = await run.done(first)
    place = ["run-1", "/do/0/a/do/0/b", [1], [1, 1], [1, 1], []]
    assert second.key == hashlib.sha256(orjson.dumps(place)).hexdigest()
    assert first.key != second.key


async def test_a_leaf_passes_on_the_trace_of_its_run(evaluate: EvaluateJq):
    trace = "0af7651916cd43dd8448eb211c80319c"
    [leaf] = await Driver({"do": [{"a": HTTP}]}, evaluate, trace_id=trace).start()
    assert leaf.traceparent == f"00-{trace}-{leaf.key[:16]}-01"
    [untraced] = await Driver({"do": [{"a": HTTP}]}, evaluate).start()
    assert untraced.traceparent is None


async def test_executions_of_one_task_have_different_keys(evaluate: EvaluateJq):
    flow = {
        "do": [
            {
                "again": {
                    "try": [{"call": {**HTTP, "export": {"as": "{n: (($context.n // 0) + 1)}"}}}],
                    "catch": {"retry": {"limit": {"attempt": {"count": 1}}}},
                }
            },
            {"back": {"switch": [{"more": {"when": "$context.n < 3", "then": "again"}}]}},
        ]
    }
    run = Driver(flow, evaluate)
    keys = []
    commands = await run.start()
    while isinstance(commands[0], RunLeaf):
        keys.append(commands[0].key)
        answer = run.failed if len(keys) % 2 else run.done
        commands = await answer(commands[0])
    assert len(keys) == 6
    assert len(set(keys)) == 6


async def test_the_journal_decides_which_branch_wins(evaluate: EvaluateJq):
    flow = {"do": [{"race": {"fork": {"compete": True, "branches": [{"a": HTTP}, {"b": HTTP}]}}}]}
    for winner in (0, 1):
        run = Driver(flow, evaluate)
        leaves = await run.start()
        commands = await run.done(leaves[winner], f"from {winner}")
        assert commands == [Cancel(leaves[1 - winner].key), Finish(Completed(f"from {winner}"))]
        assert await run.done(leaves[1 - winner], "late") == []
        assert run.machine.outcome == Completed(f"from {winner}")


async def test_the_visits_of_a_task_are_limited(evaluate: EvaluateJq):
    flow = {"do": [{"again": {"set": {}, "then": "again"}}]}
    run = Driver(flow, evaluate, max_visits=50)
    await run.start()
    assert isinstance(run.machine.outcome, Faulted)
    assert run.machine.outcome.error["instance"] == "/do/0/again"
    changes = run.machine.changed_steps()
    assert len(changes) == 51
    assert [step.state.value for step in changes[-2:]] == ["COMPLETED", "FAULTED"]


async def test_the_journal_sets_the_limit_of_visits(evaluate: EvaluateJq):
    flow = {"do": [{"again": {"set": {}, "then": "again"}}]}
    run = Driver(flow, evaluate, max_visits=50)
    await run.fact(FactKind.RUN_STARTED, data={"input": None, "max_visits": 3})
    assert len(run.machine.changed_steps()) == 4


async def test_a_loop_around_a_task_counts_its_visits(evaluate: EvaluateJq):
    inner = {"do": [{"deep": {"set": {"n": "${ .n + 1 }"}}}]}
    back = {"switch": [{"more": {"when": ".n < 9", "then": "inner"}}]}
    flow = {"do": [{"twice": {"do": [{"inner": inner}, {"back": back}]}}]}
    for most, state in ((8, Faulted), (9, Completed)):
        run = Driver(flow, evaluate, max_visits=most)
        await run.start({"n": 0})
        assert isinstance(run.machine.outcome, state)


async def test_retries_count_as_visits(evaluate: EvaluateJq):
    retry = {"retry": {"limit": {"attempt": {"count": 2}}}}
    tried = {"try": [{"a": HTTP}], "catch": retry}
    flow = {"do": [{"outer": {"try": [{"t": tried}], "catch": retry}}]}
    run = Driver(flow, evaluate, max_visits=8)
    commands = await run.start()
    for _ in range(8):
        commands = await run.failed(commands[0])
    assert isinstance(run.machine.outcome, Faulted)
    assert run.machine.outcome.error["title"] == "The task was entered more than 8 times"


async def test_each_iteration_counts_visits_separately(evaluate: EvaluateJq):
    flow = {"do": [{"loop": {"for": {"in": ".items"}, "do": [{"a": {"set": "${ . }"}}]}}]}
    run = Driver(flow, evaluate, max_visits=5)
    await run.start({"items": list(range(20))})
    assert isinstance(run.machine.outcome, Completed)


async def test_retries_without_a_limit_end(evaluate: EvaluateJq):
    bad = {"raise": {"error": {"type": "https://x.example/e", "status": 500}}}
    flow = {"do": [{"t": {"try": [{"bad": bad}], "catch": {"retry": {}}}}]}
    run = Driver(flow, evaluate, max_visits=20)
    await run.start()
    assert isinstance(run.machine.outcome, Faulted)
    steps = run.machine.changed_steps()
    assert len([step for step in steps if step.name == "bad"]) == 20


async def test_a_repeated_fact_has_no_effect(evaluate: EvaluateJq):
    run = Driver({"do": [{"a": HTTP}, {"b": HTTP}]}, evaluate)
    [first] = await run.start()
    [second] = await run.done(first, 1)
    assert await run.done(first, 2) == []
    assert run.machine.pending() == [second]
    assert await run.fact(FactKind.TIMER_FIRED, "unknown") == []
    await run.done(second, 3)
    assert run.machine.outcome == Completed(3)


async def test_a_run_starts_once(evaluate: EvaluateJq):
    run = Driver({"do": [{"a": HTTP}]}, evaluate)
    await run.start()
    with pytest.raises(ValueError, match="starts once"):
        await run.start()


async def test_a_jitter_is_chosen_once_and_journaled(evaluate: EvaluateJq):
    retry = {"delay": "PT10S", "jitter": {"from": "PT1S", "to": "PT5S"}}
    flow = {"do": [{"t": {"try": [{"a": HTTP}], "catch": {"retry": retry}}}]}
    run = Driver(flow, evaluate)
    [leaf] = await run.start()
    at = run.now
    [timer] = await run.failed(leaf)
    assert isinstance(timer, ArmTimer)
    assert (timer.reason, timer.due) == (TimerReason.RETRY, None)
    assert (timer.earliest, timer.latest) == (
        at + timedelta(seconds=11),
        at + timedelta(seconds=15),
    )
    due = at + timedelta(seconds=12)
    [pending] = await run.fact(FactKind.TIMER_ARMED, timer.key, {"due": due.isoformat()})
    assert pending == replace(timer, due=due)
    assert run.machine.pending() == [pending]
    later = (due + timedelta(seconds=1)).isoformat()
    assert await run.fact(FactKind.TIMER_ARMED, timer.key, {"due": later}) == []
    assert run.machine.pending() == [pending]
    [again] = await run.fact(FactKind.TIMER_FIRED, timer.key)
    assert again.attempt == 2


async def test_deadlines_count_from_the_times_in_the_journal(evaluate: EvaluateJq):
    flow = {"do": [{"a": {**HTTP, "timeout": {"after": "PT10S"}}}], "timeout": {"after": "PT1H"}}
    run = Driver(flow, evaluate)
    commands = await run.start()
    timers = [each for each in commands if isinstance(each, ArmTimer)]
    assert [timer.due for timer in timers] == [
        DEFAULT_START + timedelta(hours=1),
        DEFAULT_START + timedelta(seconds=10),
    ]
    assert {timer.reason for timer in timers} == {TimerReason.TIMEOUT}


async def test_a_deadline_that_is_no_longer_needed_is_cancelled(evaluate: EvaluateJq):
    run = Driver({"do": [{"a": {**HTTP, "timeout": {"after": "PT10S"}}}, {"b": HTTP}]}, evaluate)
    commands = await run.start()
    [timer] = [each for each in commands if isinstance(each, ArmTimer)]
    [leaf] = [each for each in commands if isinstance(each, RunLeaf)]
    following = await run.done(leaf)
    assert Cancel(timer.key) in following
    assert [command.name for command in run.machine.pending()] == ["b"]


async def test_a_child_that_started_is_still_waited_for(evaluate: EvaluateJq):
    call = {"call": "localFlow:1@default", "with": {"ref": "warehouse/pick"}}
    run = Driver({"do": [{"a": call}]}, evaluate)
    [child] = await run.start()
    assert isinstance(child, StartChild)
    assert await run.fact(FactKind.CHILD_STARTED, child.key, {"run": "child-1"}) == []
    assert run.machine.pending() == [child]
    [finish] = await run.fact(FactKind.CHILD_COMPLETED, child.key, {"output": 1})
    assert finish == Finish(Completed(1))


async def test_a_fork_issues_the_commands_of_all_branches(evaluate: EvaluateJq):
    branches = [{f"b{number}": HTTP} for number in range(500)]
    run = Driver({"do": [{"all": {"fork": {"branches": branches}}}]}, evaluate)
    leaves = await run.start()
    assert len(leaves) == 500
    for number, leaf in reversed(list(enumerate(leaves))):
        last = await run.done(leaf, number)
    assert last == [Finish(Completed(list(range(500))))]


async def test_the_cost_of_a_fact_does_not_grow_with_the_journal(expressions: Any):
    calls = 0

    async def counting(program: str, variables: Any, value: JSON) -> JSON:
        nonlocal calls
        calls += 1
        return await expressions.evaluate(program, variables, value)

    timed = {**HTTP, "if": "$context == null", "timeout": {"after": "PT1H"}}
    loop = {"for": {"in": ".items"}, "do": [{"a": timed}]}
    run = Driver({"do": [{"loop": loop}]}, counting)
    commands = await run.start({"items": list(range(3000))})
    costs = []
    while leaves := [command for command in commands if isinstance(command, RunLeaf)]:
        before = calls
        commands = await run.done(leaves[0])
        assert len(run.machine.changed_steps()) <= 3
        costs.append(calls - before)
    assert len(costs) == 3000
    assert set(costs) <= {0, 1}
    internal = run.machine._run
    assert len(internal.commands.pending()) == 0
    assert len(internal.steps._open) == 0
    root = run.machine._root
    assert root is not None
    assert (len(root.children), len(root.keys), len(root.steps)) == (0, 0, 0)


async def test_no_output_of_the_machine_contains_a_secret(evaluate: EvaluateJq):
    canary = "canary-0001"
    endpoint = {
        "uri": "https://a.example",
        "authentication": {"bearer": {"token": "${ $secrets.erp.token }"}},
    }
    flow = {
        "use": {"secrets": ["erp"]},
        "do": [
            {"take": {"input": {"from": "{key: $secrets.erp.token}"}, "set": "${ . }"}},
            {"call": {"call": "http", "with": {"method": "post", "endpoint": endpoint}}},
            {
                "child": {
                    "call": "localFlow:1@default",
                    "with": {"ref": "a/b", "input": "${ $input }"},
                    "input": {"from": "$secrets.erp"},
                }
            },
            {
                "tell": {
                    "input": {"from": "$secrets.erp"},
                    "emit": {"event": {"with": {"type": "t", "data": "${ .token }"}}},
                }
            },
            {
                "stop": {
                    "input": {"from": "$secrets.erp"},
                    "raise": {
                        "error": {"type": "https://x", "status": 500, "detail": "${ .token }"}
                    },
                }
            },
        ],
    }
    run = Driver(flow, evaluate, secrets={"erp": {"token": canary}})
    [leaf] = await run.start()
    assert leaf.authentication == {"bearer": {"token": canary}}
    assert leaf.secrets == (canary,)
    assert canary not in repr(leaf)
    assert canary not in json.dumps(leaf.arguments)
    [child] = await run.done(leaf, {"fine": True})
    assert canary not in json.dumps(child.input)
    [event] = await run.fact(FactKind.CHILD_COMPLETED, child.key, {"output": 1})
    assert canary not in json.dumps(event.event)
    await run.fact(FactKind.EVENT_EMITTED, event.key, {"event": event.event})
    assert isinstance(run.machine.outcome, Faulted)
    assert "[REDACTED]" in json.dumps(run.machine.outcome.error)
    assert canary not in json.dumps(run.machine.outcome.error)
    assert canary not in str([step.error for step in run.machine.changed_steps()])


async def test_a_retried_step_contains_no_secret(evaluate: EvaluateJq):
    call = {"call": "http", "with": {"method": "get", "endpoint": "https://a.example"}}
    flow = {"use": {"secrets": ["erp"]}, "do": [{"a": call}]}
    run = Driver(flow, evaluate, secrets={"erp": {"token": "canary-0001"}})
    [leaf] = await run.start()
    error: JSON = {"error": {"status": 500, "detail": "no canary-0001"}}
    await run.fact(FactKind.LEAF_FAULTED, leaf.key, error)
    await run.fact(FactKind.RUN_RETRIED)
    [faulted, again] = run.machine.changed_steps()
    assert (faulted.state, again.state) == ("FAULTED", "RUNNING")
    assert faulted.error == {
        "type": "https://open-workflow-specification.org/spec/1.0.0/errors/runtime",
        "status": 500,
        "detail": "no [REDACTED]",
        "instance": "/do/0/a",
    }


async def test_credentials_are_those_of_the_secret(evaluate: EvaluateJq):
    secret: JSON = {"username": "ann", "password": "${ 1 + 1 }"}
    endpoint = {"uri": "https://a.example", "authentication": {"basic": {"use": "erp"}}}
    call = {"call": "http", "with": {"method": "get", "endpoint": endpoint}}
    flow = {"use": {"secrets": ["erp"]}, "do": [{"a": call}]}
    [leaf] = await Driver(flow, evaluate, secrets={"erp": secret}).start()
    assert leaf.authentication == {"basic": secret}
    assert "${ 1 + 1 }" in leaf.secrets


async def test_the_output_of_emit_is_the_event_as_sent(evaluate: EvaluateJq):
    run = Driver({"do": [{"a": {"emit": {"event": {"with": {"type": "t"}}}}}]}, evaluate)
    [emit] = await run.start()
    sent = {**emit.event, "sequence": "7"}
    await run.fact(FactKind.EVENT_EMITTED, emit.key, {"event": sent})
    assert run.machine.outcome == Completed(sent)


async def test_a_bug_of_the_machine_is_not_a_fault_of_the_run(evaluate: EvaluateJq):
    async def broken(program: str, variables: Any, value: JSON) -> JSON:
        raise RuntimeError("the pool is closed")

    caught = {"try": [{"a": {"set": "${ .a.b | length }"}}], "catch": {}}
    run = Driver({"do": [{"t": {"fork": {"branches": [{"b": caught}]}}}]}, broken)
    with pytest.raises(RuntimeError, match="the pool is closed"):
        await run.start()
    assert run.machine.outcome is None


async def test_an_expression_error_says_what_failed(evaluate: EvaluateJq):
    run = Driver({"do": [{"a": {"set": '${ error("why" + " not") }'}}]}, evaluate)
    await run.start()
    assert isinstance(run.machine.outcome, Faulted)
    detail = str(run.machine.outcome.error["detail"])
    assert "error(" in detail
    assert "why not" in detail


async def test_commands_and_facts_do_not_show_data(evaluate: EvaluateJq):
    call = {
        "call": "humanTask:1@default",
        "with": {"title": "${ .n }", "candidates": {"roles": ["a"]}},
    }
    run = Driver({"do": [{"a": call}]}, evaluate)
    [task] = await run.start({"n": "Ingrid Solberg"})
    answered = Fact(FactKind.TASK_ANSWERED, DEFAULT_START, task.key, {"answer": "Ingrid Solberg"})
    assert "Ingrid" not in repr([task, answered])
    [finish] = await run.machine.apply(answered)
    assert "Ingrid" not in repr(finish)


async def test_the_event_types_that_a_run_can_consume(evaluate: EvaluateJq):
    def types(*filters: dict[str, Any], **more: Any) -> Any:
        listen = {"listen": {"to": {"any": list(filters), **more}}}
        flow = {"do": [{"x": {"do": [{"receive": listen}]}}]}
        return Machine(definition(flow), RunContext("r"), evaluate).event_types

    assert types({"with": {"type": "a.b"}}, {"with": {"type": "c"}}) == {"a.b", "c"}
    until = {"one": {"with": {"type": "d"}}}
    assert types({"with": {"type": "a"}}, until=until) == {"a", "d"}
    assert types({"with": {"source": "s"}}) is None
    assert types({"with": {"type": "a"}}, until={"one": {"with": {"source": "s"}}}) is None
    assert types({"with": {"type": "a.*"}}) is None
    assert types({"with": {"type": "${ . }"}}) is None
    nothing = Machine(definition({"do": [{"a": HTTP}]}), RunContext("r"), evaluate)
    assert nothing.event_types == frozenset()


async def test_events_are_awaited_until_the_task_has_them(evaluate: EvaluateJq):
    listen = {"listen": {"to": {"one": {"with": {"type": "a"}}}}}
    run = Driver({"do": [{"receive": listen}, {"then": HTTP}]}, evaluate)
    [wanted] = await run.start()
    assert isinstance(wanted, AwaitEvent)
    assert run.machine.pending() == [wanted]
    event: JSON = {"type": "a", "source": "s", "id": "1"}
    taken_back, leaf = await run.fact(FactKind.EVENT_CONSUMED, data={"event": event})
    assert taken_back == Cancel(wanted.key)
    assert run.machine.pending() == [leaf]


async def test_an_event_is_consumed_once_a_task_has_taken_it(evaluate: EvaluateJq):
    wanted = {"one": {"with": {"type": "paid", "subject": "x"}}}
    run = Driver({"do": [{"a": {"listen": {"to": wanted}}}]}, evaluate)
    await run.start()
    other: Any = {"source": "s", "id": "1", "type": "paid", "subject": "y"}
    await run.fact(FactKind.EVENT_CONSUMED, data={"event": other})
    assert run.machine.consumed(other) is False
    event: Any = {"source": "s", "id": "2", "type": "paid", "subject": "x"}
    await run.fact(FactKind.EVENT_CONSUMED, data={"event": event})
    assert run.machine.consumed(event) is True
    assert run.machine.consumed(other) is False
    assert run.machine.consumed(dict(event)) is False


async def test_a_cancellation_before_the_start(evaluate: EvaluateJq):
    run = Driver({"do": [{"a": HTTP}]}, evaluate)
    [finish] = await run.fact(FactKind.RUN_CANCELLED, data={"reason": "never mind"})
    assert finish.outcome.reason == "never mind"
    assert await run.start() == []


async def test_a_faulted_run_cancels_its_commands_and_issues_them_again(evaluate: EvaluateJq):
    flow = {"do": [{"all": {"fork": {"branches": [{"a": HTTP}, {"b": HTTP}, {"c": HTTP}]}}}]}
    run = Driver(flow, evaluate)
    first, second, third = await run.start()
    commands = await run.failed(second)
    assert commands[:2] == [Cancel(first.key), Cancel(third.key)]
    assert isinstance(commands[2], Finish)
    assert run.machine.pending() == []
    # The neighbour had been done when the fault was recorded: its answer counts.
    assert await run.done(third, "c") == []
    again = await run.fact(FactKind.RUN_RETRIED)
    assert [command.name for command in again] == ["a", "b"]
    steps = {step.key: step for step in run.machine.changed_steps()}
    assert (steps[second.key].state, steps[second.key].attempt) == ("FAULTED", 1)
    assert steps[second.key].error is not None
    assert (steps[first.key].state, steps[first.key].ended_at) == ("RUNNING", None)
    assert (steps[again[1].key].state, steps[again[1].key].attempt) == ("RUNNING", 2)
    assert again[0] == first
    assert again[1].key != second.key
    assert again[1].attempt == 2
    await run.done(again[0], "a")
    await run.done(again[1], "b")
    assert run.machine.outcome == Completed(["a", "b", "c"])


async def test_a_fault_stops_everything_that_has_not_started(evaluate: EvaluateJq):
    bad = {"raise": {"error": {"type": "https://x.example/e", "status": 418}}}
    for branches in ([{"bad": bad}, {"call": HTTP}], [{"call": HTTP}, {"bad": bad}]):
        run = Driver({"do": [{"all": {"fork": {"branches": branches}}}]}, evaluate)
        assert [type(command) for command in await run.start()] == [Finish]
        assert run.machine.pending() == []


async def test_human_tasks_do_not_age_while_the_run_stands_still(evaluate: EvaluateJq):
    arguments = {
        "title": "Look",
        "candidates": {"roles": ["clerk"]},
        "dueIn": "PT4H",
        "remind": "PT1H",
        "escalate": [{"after": "PT2H", "to": "lead"}],
    }
    ask = {"call": "humanTask:1@default", "with": arguments}
    timed = {**HTTP, "timeout": {"after": "PT10S"}}
    branches = [{"ask": ask}, {"pause": {"wait": "PT1H"}}, {"timed": timed}, {"bad": HTTP}]
    run = Driver({"do": [{"all": {"fork": {"branches": branches}}}]}, evaluate)
    before = {command.key: command for command in await run.start()}
    await run.failed(next(each for each in before.values() if each.name == "bad"))
    run.now += timedelta(hours=9)
    pause = timedelta(hours=9, seconds=1)
    again = {each.key: each for each in await run.fact(FactKind.RUN_RETRIED)}
    for key, command in before.items():
        match command:
            case OpenHumanTask():
                reminders = tuple(at + pause for at in command.reminders)
                due = command.due + pause if command.due else None
                stages = tuple(replace(each, at=each.at + pause) for each in command.stages)
                assert again[key] == replace(command, due=due, reminders=reminders, stages=stages)
            case ArmTimer(reason=TimerReason.TIMEOUT):
                due = command.due + pause if command.due else None
                assert again[key] == replace(command, due=due, earliest=due, latest=due)
            case ArmTimer():
                assert again[key] == command
    assert len([each for each in again.values() if isinstance(each, ArmTimer)]) == 2


async def test_a_completed_run_cannot_be_cancelled(evaluate: EvaluateJq):
    run = Driver({"do": [{"a": {"set": {"a": 1}}}]}, evaluate)
    await run.start()
    assert await run.fact(FactKind.RUN_CANCELLED) == []
    assert await run.fact(FactKind.RUN_RETRIED) == []
    assert run.machine.outcome == Completed({"a": 1})


async def test_the_runtime_comes_from_the_journal(evaluate: EvaluateJq):
    run = Driver({"do": [{"a": {"set": "${ $runtime }"}}]}, evaluate)
    await run.fact(FactKind.RUN_STARTED, data={"runtime": {"name": "other", "version": "9"}})
    assert run.machine.outcome == Completed({"name": "other", "version": "9"})


async def test_a_step_waits_and_continues(evaluate: EvaluateJq):
    flow = {"do": [{"t": {"try": [{"a": HTTP}], "catch": {"retry": {"delay": "PT1S"}}}}]}
    run = Driver(flow, evaluate)

    def states() -> dict[str, str]:
        return {step.name: step.state.value for step in run.machine.changed_steps()}

    [leaf] = await run.start()
    assert states() == {"t": "RUNNING", "a": "RUNNING"}
    [timer] = await run.failed(leaf)
    assert states() == {"t": "RETRYING", "a": "FAULTED"}
    await run.fact(FactKind.TIMER_FIRED, timer.key)
    assert states() == {"t": "RUNNING", "a": "RUNNING"}


async def test_a_command_that_is_cancelled_at_once_is_never_issued(
    evaluate: EvaluateJq,
):
    stop = {"set": {"stopped": True}, "then": "end"}
    branches = [{"call": HTTP}, {"pause": {"wait": "PT1H"}}, {"stop": stop}]
    run = Driver({"do": [{"all": {"fork": {"branches": branches}}}]}, evaluate)
    assert await run.start() == [Finish(Completed({"stopped": True}))]


async def test_facts_survive_serialization():
    fact = Fact(FactKind.LEAF_COMPLETED, DEFAULT_START, "key", {"output": [1, None, "ä"]})
    assert Fact.from_json(orjson.loads(orjson.dumps(fact.to_json()))) == fact
    with pytest.raises(ValueError, match="offset"):
        Fact(FactKind.RUN_STARTED, DEFAULT_START.replace(tzinfo=None))
    with pytest.raises(TypeError):
        Fact.from_json([])
    with pytest.raises(ValueError, match="UNKNOWN"):
        Fact.from_json({"kind": "UNKNOWN", "at": DEFAULT_START.isoformat()})


async def test_the_exact_refs_are_those_of_the_start(evaluate: EvaluateJq):
    run = Driver({"do": [{"a": HTTP}]}, evaluate)
    await run.fact(FactKind.RUN_STARTED, data={"input": None, "flows": {"x/y": "x/y@1.0.0"}})
    assert run.machine.flows == {"x/y": "x/y@1.0.0"}


async def test_a_fiber_that_is_discarded_before_its_turn_never_runs(evaluate: EvaluateJq):
    fibers, ran = Scheduler(evaluate), []

    async def first() -> None:
        fibers.discard(second)

    async def never() -> None:
        ran.append("never")

    fibers.spawn(first)
    second = fibers.spawn(never)
    await fibers.run()
    assert ran == []
