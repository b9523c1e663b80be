"""How long steps work and wait, and for what."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from coe.json_types import JSON
from coe.machine.commands import ArmTimer, OpenHumanTask, RunLeaf, StartChild, StepUpdate
from coe.machine.facts import Fact, FactKind
from coe.machine.machine import EvaluateJq, Machine, RunContext
from coe.testing.cases import DEFAULT_START
from tests.machine.driver import HTTP
from tests.machine.scenarios import definition

ASK = {
    "call": "humanTask:1@default",
    "with": {"title": "Look", "candidates": {"roles": ["clerk"]}},
}
PICK = {"call": "localFlow:1@default", "with": {"ref": "warehouse/pick@1.0.0"}}
OWN = {"call": "localFlow:1@default", "with": {"ref": "tests/pick@1.0.0"}}
RETRY = {"retry": {"delay": "PT5S", "limit": {"attempt": {"count": 1}}}}


class Clocked:
    """One run, to which facts are applied at seconds from its start."""

    def __init__(self, evaluate: EvaluateJq, *tasks: dict[str, Any]) -> None:
        flow = {"do": [{f"t{number}": task} for number, task in enumerate(tasks)]}
        self.machine = Machine(definition(flow), RunContext("run-1"), evaluate)
        self.steps: dict[str, StepUpdate] = {}
        self.pending: dict[type, Any] = {}

    async def at(self, seconds: float, kind: FactKind, key: str = "", data: JSON = None) -> None:
        at = DEFAULT_START + timedelta(seconds=seconds)
        for command in await self.machine.apply(Fact(kind, at, key, data)):
            self.pending[type(command)] = command
        self.steps |= {each.path: each for each in self.machine.changed_steps()}

    async def start(self, **data: JSON) -> None:
        await self.at(0, FactKind.RUN_STARTED, data={"input": {}} | data)

    async def answer(self, seconds: float, of: type, kind: FactKind, data: JSON = None) -> None:
        await self.at(seconds, kind, self.pending[of].key, data)

    async def done(self, seconds: float) -> None:
        await self.answer(seconds, RunLeaf, FactKind.LEAF_COMPLETED, {"output": 1})

    async def answered(self, seconds: float) -> None:
        data: JSON = {"outcome": "done", "answer": {}}
        await self.answer(seconds, OpenHumanTask, FactKind.TASK_ANSWERED, data)

    def of(self, path: str) -> dict[str, float]:
        """The parts of the time of a step, in seconds: they must add up to the whole."""
        step = self.steps[path]
        times = step.times
        parts = {str(cause): each.total_seconds() for cause, each in times.waits.items()}
        if times.held:
            parts["held"] = times.held.total_seconds()
        worked = (times.since - step.started_at).total_seconds() - sum(parts.values())
        assert min([worked, *parts.values()]) >= 0
        assert step.ended_at in {None, times.since}
        return {"worked": worked} | parts if worked else parts

    def whole(self) -> dict[str, float]:
        times = self.machine.times()
        assert times is not None
        until = times.until(self.machine.now)
        return {str(cause): each.total_seconds() for cause, each in until.waits.items()}


async def test_each_kind_of_wait_has_its_cause(evaluate: EvaluateJq):
    run = Clocked(evaluate, {"wait": "PT5S"}, ASK, PICK, OWN, HTTP, LISTEN)
    await run.start()
    await run.answer(5, ArmTimer, FactKind.TIMER_FIRED)
    await run.answered(9)
    await run.answer(12, StartChild, FactKind.CHILD_COMPLETED, {"output": {}})
    await run.answer(14, StartChild, FactKind.CHILD_COMPLETED, {"output": {}})
    await run.done(15)
    event: JSON = {"type": "t", "source": "s", "id": "1"}
    await run.at(21, FactKind.EVENT_CONSUMED, data={"event": event})
    assert run.of("/do/0/t0") == {"TIMER": 5}
    assert run.of("/do/1/t1") == {"PEOPLE_QUEUE": 4}
    assert run.of("/do/2/t2") == {"OTHER_TEAM": 3}
    assert run.of("/do/3/t3") == {"DISPATCH": 2}
    assert run.of("/do/4/t4") == {"worked": 1}
    assert run.of("/do/5/t5") == {"EVENT": 6}
    whole = {"TIMER": 5, "PEOPLE_QUEUE": 4, "OTHER_TEAM": 3, "DISPATCH": 2, "EVENT": 6}
    assert run.whole() == whole
    assert {each.parent_key for each in run.steps.values()} == {None}


LISTEN = {"listen": {"to": {"one": {"with": {"type": "t"}}}}}


async def test_the_time_of_a_run_never_goes_back(evaluate: EvaluateJq):
    run = Clocked(evaluate, HTTP, HTTP)
    await run.start()
    await run.done(5)
    await run.done(2)
    assert run.of("/do/0/t0") == {"worked": 5}
    assert run.of("/do/1/t1") == {}
    assert run.machine.now == DEFAULT_START + timedelta(seconds=5)


async def test_what_a_person_holds_is_work(evaluate: EvaluateJq):
    run = Clocked(evaluate, {"do": [{"ask": ASK}]})
    await run.start()
    for seconds, by in ((3, "ann"), (4, "bob"), (6, None), (9, "ann")):
        await run.answer(seconds, OpenHumanTask, FactKind.TASK_HELD, {"by": by})
    await run.answered(10)
    for path in ("/do/0/t0", "/do/0/t0/do/0/ask"):
        assert run.of(path) == {"held": 4, "PEOPLE_QUEUE": 6}
    await run.at(11, FactKind.TASK_HELD, run.pending[OpenHumanTask].key, {"by": "ann"})
    assert run.of("/do/0/t0") == {"held": 4, "PEOPLE_QUEUE": 6}


async def test_a_step_works_while_anything_inside_works(evaluate: EvaluateJq):
    run = Clocked(evaluate, {"fork": {"branches": [{"ask": ASK}, {"call": HTTP}, {"rest": REST}]}})
    await run.start()
    await run.done(4)
    assert run.of("/do/0/t0") == {"worked": 4}
    await run.answered(7)
    await run.answer(9, ArmTimer, FactKind.TIMER_FIRED)
    assert run.of("/do/0/t0") == {"worked": 4, "PEOPLE_QUEUE": 3, "TIMER": 2}
    assert run.steps["/do/0/t0/fork/branches/0/ask"].parent_key == run.steps["/do/0/t0"].key


REST = {"wait": "PT9S"}


async def test_a_delay_before_a_retry_belongs_to_the_try(evaluate: EvaluateJq):
    run = Clocked(evaluate, {"try": [{"call": HTTP}], "catch": RETRY})
    await run.start()
    await run.answer(1, RunLeaf, FactKind.LEAF_FAULTED, {"error": {"status": 500}})
    await run.answer(6, ArmTimer, FactKind.TIMER_FIRED)
    await run.done(8)
    assert run.of("/do/0/t0") == {"worked": 3, "RETRY": 5}


async def test_a_timer_that_fires_late_waits_for_a_process_from_its_time_on(evaluate: EvaluateJq):
    tried = {"try": [{"c": HTTP}], "catch": RETRY}
    run = Clocked(evaluate, {"do": [{"rest": {"wait": "PT5S"}}]}, tried)
    await run.start()
    await run.answer(8, ArmTimer, FactKind.TIMER_FIRED)
    assert run.of("/do/0/t0/do/0/rest") == {"TIMER": 5, "DISPATCH": 3}
    assert run.of("/do/0/t0") == {"TIMER": 5, "DISPATCH": 3}
    await run.answer(9, RunLeaf, FactKind.LEAF_FAULTED, {"error": {"status": 500}})
    await run.answer(16, ArmTimer, FactKind.TIMER_FIRED)
    assert run.of("/do/1/t1") == {"worked": 1, "RETRY": 5, "DISPATCH": 2}


async def test_a_timer_that_fires_before_its_time_was_chosen_is_not_late(evaluate: EvaluateJq):
    jitter = {**RETRY["retry"], "jitter": {"from": "PT1S", "to": "PT9S"}}
    run = Clocked(evaluate, {"try": [{"c": HTTP}], "catch": {"retry": jitter}})
    await run.start()
    await run.answer(1, RunLeaf, FactKind.LEAF_FAULTED, {"error": {"status": 500}})
    await run.answer(9, ArmTimer, FactKind.TIMER_FIRED)
    await run.done(10)
    assert run.of("/do/0/t0") == {"worked": 2, "RETRY": 8}


async def test_a_late_timer_beside_a_person_does_not_count_around_them(evaluate: EvaluateJq):
    branches = [{"ask": ASK}, {"rest": {"wait": "PT5S"}}]
    run = Clocked(evaluate, {"fork": {"branches": branches}})
    await run.start()
    await run.answer(8, ArmTimer, FactKind.TIMER_FIRED)
    assert run.of("/do/0/t0/fork/branches/1/rest") == {"TIMER": 5, "DISPATCH": 3}
    assert run.of("/do/0/t0") == {"PEOPLE_QUEUE": 8}
    await run.answered(10)
    assert run.of("/do/0/t0") == {"PEOPLE_QUEUE": 10}


async def test_until_a_process_takes_a_run_up_its_steps_wait_for_one(evaluate: EvaluateJq):
    branches = [{"receive": LISTEN}, {"go": {"do": [{"a": ASK}, {"b": HTTP}]}}]
    run = Clocked(evaluate, {"wait": "PT5S"}, {"fork": {"branches": branches}})
    await run.start()
    await run.answer(5, ArmTimer, FactKind.TIMER_FIRED)
    assert run.of("/do/0/t0") == {"TIMER": 5}
    run.steps.clear()
    await run.at(8, FactKind.RUN_TAKEN_UP, data={"since": _time(5)})
    assert run.of("/do/1/t1/fork/branches/1/go/do/0/a") == {"DISPATCH": 3}
    await run.answered(10)
    await run.at(14, FactKind.RUN_TAKEN_UP, data={"since": _time(10)})
    await run.done(15)
    go = "/do/1/t1/fork/branches/1/go"
    assert run.of(f"{go}/do/0/a") == {"DISPATCH": 3, "PEOPLE_QUEUE": 2}
    assert run.of(f"{go}/do/1/b") == {"DISPATCH": 4, "worked": 1}
    assert run.of(go) == {"DISPATCH": 7, "PEOPLE_QUEUE": 2, "worked": 1}
    event: JSON = {"type": "t", "source": "s", "id": "1"}
    await run.at(20, FactKind.EVENT_CONSUMED, data={"event": event})
    assert run.of("/do/1/t1/fork/branches/0/receive") == {"EVENT": 15}
    assert run.of("/do/1/t1") == {"DISPATCH": 7, "PEOPLE_QUEUE": 2, "worked": 1, "EVENT": 5}


async def test_who_waited_for_a_person_before_waits_on_without_a_process(evaluate: EvaluateJq):
    run = Clocked(evaluate, {"fork": {"branches": [{"ask": ASK}, {"receive": LISTEN}]}})
    await run.start()
    event: JSON = {"type": "t", "source": "s", "id": "1"}
    await run.at(3, FactKind.EVENT_CONSUMED, data={"event": event})
    await run.at(6, FactKind.RUN_TAKEN_UP, data={"since": _time(3)})
    await run.answered(7)
    assert run.of("/do/0/t0") == {"PEOPLE_QUEUE": 7}
    assert run.of("/do/0/t0/fork/branches/0/ask") == {"PEOPLE_QUEUE": 7}


def _time(seconds: float) -> str:
    return (DEFAULT_START + timedelta(seconds=seconds)).isoformat()


async def test_a_faulted_run_waits_for_an_operator(evaluate: EvaluateJq):
    run = Clocked(evaluate, {"fork": {"branches": [{"call": HTTP}, {"ask": ASK}]}})
    await run.start()
    await run.answer(1, OpenHumanTask, FactKind.TASK_HELD, {"by": "ann"})
    await run.answer(3, RunLeaf, FactKind.LEAF_FAULTED, {"error": {"status": 500}})
    call, ask = "/do/0/t0/fork/branches/0/call", "/do/0/t0/fork/branches/1/ask"
    assert run.of(call) == {"worked": 3}
    assert run.of(ask) == {"PEOPLE_QUEUE": 1, "held": 2}
    faulted = run.steps[call]
    await run.at(5, FactKind.TASK_HELD, run.pending[OpenHumanTask].key, {"by": "bob"})
    await run.at(6, FactKind.RUN_TAKEN_UP, data={"since": _time(4)})
    steps: list[StepUpdate] = []
    at = DEFAULT_START + timedelta(seconds=10)
    for command in await run.machine.apply(Fact(FactKind.RUN_RETRIED, at)):
        run.pending[type(command)] = command
    steps = run.machine.changed_steps()
    run.steps |= {each.path: each for each in steps}
    [first] = [each for each in steps if each.key == faulted.key]
    assert first.times.waits == {"OPERATOR": timedelta(seconds=7)}
    assert first.ended_at == at
    await run.done(12)
    await run.answered(13)
    assert run.of(call) == {"worked": 2}
    assert run.of(ask) == {"PEOPLE_QUEUE": 4, "held": 2, "OPERATOR": 7}
    assert run.of("/do/0/t0") == {"worked": 5, "OPERATOR": 7, "PEOPLE_QUEUE": 1}
    assert run.whole() == {"OPERATOR": 7, "PEOPLE_QUEUE": 1}


async def test_a_run_that_the_platform_stopped_waits_for_an_operator_from_then_on(
    evaluate: EvaluateJq,
):
    run = Clocked(evaluate, HTTP, ASK)
    await run.start()
    await run.at(9, FactKind.RUN_RETRIED, data={"since": _time(2)})
    await run.done(10)
    assert run.of("/do/0/t0") == {"worked": 3, "OPERATOR": 7}
    await run.answer(11, OpenHumanTask, FactKind.TASK_HELD, {"by": "ann"})
    await run.at(20, FactKind.RUN_RETRIED, data={"since": _time(13)})
    await run.at(21, FactKind.RUN_RETRIED)
    await run.answered(22)
    assert run.of("/do/1/t1") == {"PEOPLE_QUEUE": 3, "held": 2, "OPERATOR": 7}


async def test_the_run_as_a_whole_begins_with_its_request(evaluate: EvaluateJq):
    run = Clocked(evaluate, HTTP)
    assert run.machine.times() is None
    await run.start(requested=_time(-4))
    await run.done(2)
    times = run.machine.times()
    assert times is not None
    assert times.waits == {"DISPATCH": timedelta(seconds=4)}
    assert times.phase == "WORK"
    late = Clocked(evaluate, HTTP)
    await late.start(requested=_time(7))
    assert late.whole() == {}


@pytest.mark.parametrize(
    "kind", [FactKind.RUN_TAKEN_UP, FactKind.TASK_HELD, FactKind.RUN_RETRIED, FactKind.TIMER_FIRED]
)
async def test_what_comes_before_the_start_of_a_run_changes_nothing(
    kind: FactKind, evaluate: EvaluateJq
):
    run = Clocked(evaluate, HTTP)
    await run.at(-3, kind, data={"since": _time(-4), "by": "ann"})
    assert run.machine.times() is None
    await run.start()
    await run.done(2)
    assert run.of("/do/0/t0") == {"worked": 2}
    assert run.whole() == {}


# ---------------------------------------------------------------- called runs

CHILD_TIMES: JSON = {"worked": 4, "held": 1, "waits": {"PEOPLE_QUEUE": 2, "DISPATCH": 1}}


async def test_a_call_takes_the_times_of_the_run_that_it_calls(evaluate: EvaluateJq):
    run = Clocked(evaluate, {"do": [{"pick": PICK}, {"own": OWN}]})
    await run.start()
    done: JSON = {"output": {}, "times": CHILD_TIMES}
    await run.answer(10, StartChild, FactKind.CHILD_COMPLETED, done)
    await run.answer(17, StartChild, FactKind.CHILD_COMPLETED, done)
    assert run.of("/do/0/t0/do/0/pick") == {"worked": 4, "held": 1, "OTHER_TEAM": 5}
    own = {"worked": 4, "held": 1, "PEOPLE_QUEUE": 2}
    assert run.of("/do/0/t0/do/1/own") == own
    assert run.of("/do/0/t0") == {"worked": 8, "held": 2, "OTHER_TEAM": 5, "PEOPLE_QUEUE": 2}
    assert run.whole() == {"OTHER_TEAM": 5, "PEOPLE_QUEUE": 2}


async def test_a_called_run_that_took_longer_than_its_step_takes_all_of_it(evaluate: EvaluateJq):
    run = Clocked(evaluate, PICK)
    await run.start()
    error: JSON = {"error": {"status": 500}, "times": {"worked": 4, "waits": {"TIMER": 9}}}
    await run.answer(6, StartChild, FactKind.CHILD_FAULTED, error)
    assert run.of("/do/0/t0") == {"worked": 4, "OTHER_TEAM": 2}


async def test_times_of_a_called_run_may_have_parts_of_a_second(evaluate: EvaluateJq):
    run = Clocked(evaluate, PICK)
    await run.start()
    done: JSON = {"output": {}, "times": {"worked": 1.5, "waits": {"TIMER": 2.25}}}
    await run.answer(6, StartChild, FactKind.CHILD_COMPLETED, done)
    assert run.of("/do/0/t0") == {"worked": 1.5, "OTHER_TEAM": 4.5}


async def test_two_calls_at_once_are_counted_around_them_once(evaluate: EvaluateJq):
    branches = [{"one": PICK}, {"two": PICK}]
    run = Clocked(evaluate, {"fork": {"branches": branches}})
    await run.start()
    two = run.pending[StartChild].key
    one = run.steps["/do/0/t0/fork/branches/0/one"].key
    worked: JSON = {"output": {}, "times": {"worked": 8}}
    await run.at(10, FactKind.CHILD_COMPLETED, one, worked)
    assert run.of("/do/0/t0") == {"worked": 8, "OTHER_TEAM": 2}
    await run.at(12, FactKind.CHILD_COMPLETED, two, worked)
    assert run.of("/do/0/t0/fork/branches/1/two") == {"worked": 8, "OTHER_TEAM": 4}
    assert run.of("/do/0/t0") == {"worked": 10, "OTHER_TEAM": 2}


async def test_a_call_counts_around_it_from_its_own_begin_on(evaluate: EvaluateJq):
    branches = [{"one": PICK}, {"two": {"do": [{"first": HTTP}, {"then": PICK}]}}]
    run = Clocked(evaluate, {"fork": {"branches": branches}})
    await run.start()
    await run.done(3)
    long: JSON = {"output": {}, "times": {"worked": 20}}
    await run.answer(10, StartChild, FactKind.CHILD_COMPLETED, long)
    await run.at(5, FactKind.RUN_CANCELLED)
    assert run.of("/do/0/t0/fork/branches/0/one") == {"OTHER_TEAM": 10}
    assert run.of("/do/0/t0") == {"worked": 10}
    later = Clocked(evaluate, {"fork": {"branches": [{"one": PICK}, {"two": LATER}]}})
    await later.start()
    await later.answer(3, ArmTimer, FactKind.TIMER_FIRED)
    await later.answer(10, StartChild, FactKind.CHILD_COMPLETED, long)
    await later.at(10, FactKind.RUN_CANCELLED)
    assert later.of("/do/0/t0") == {"worked": 7, "OTHER_TEAM": 3}


LATER = {"do": [{"rest": {"wait": "PT3S"}}, {"pick": PICK}]}


async def test_a_call_beside_other_work_does_not_count_around_it(evaluate: EvaluateJq):
    branches = [{"pick": PICK}, {"ask": ASK}]
    run = Clocked(evaluate, {"fork": {"branches": branches}})
    await run.start()
    await run.answer(4, StartChild, FactKind.CHILD_COMPLETED, {"output": {}, "times": CHILD_TIMES})
    await run.answered(6)
    assert run.of("/do/0/t0") == {"PEOPLE_QUEUE": 6}


async def test_a_run_that_faulted_meanwhile_does_not_take_the_times_of_a_call(evaluate: EvaluateJq):
    run = Clocked(evaluate, {"fork": {"branches": [{"pick": PICK}, {"call": HTTP}]}})
    await run.start()
    await run.answer(2, RunLeaf, FactKind.LEAF_FAULTED, {"error": {"status": 500}})
    await run.answer(5, StartChild, FactKind.CHILD_COMPLETED, {"output": {}, "times": CHILD_TIMES})
    await run.at(9, FactKind.RUN_RETRIED)
    assert run.of("/do/0/t0/fork/branches/0/pick") == {"OTHER_TEAM": 2, "OPERATOR": 7}


async def test_cancelled_steps_keep_their_times(evaluate: EvaluateJq):
    run = Clocked(evaluate, {"do": [{"ask": ASK}]})
    await run.start()
    await run.at(5, FactKind.RUN_CANCELLED)
    assert run.of("/do/0/t0/do/0/ask") == {"PEOPLE_QUEUE": 5}
    assert run.of("/do/0/t0") == {"PEOPLE_QUEUE": 5}
    assert run.whole() == {"PEOPLE_QUEUE": 5}


async def test_a_step_is_told_again_when_what_is_inside_waits(evaluate: EvaluateJq):
    run = Clocked(evaluate, {"do": [{"call": HTTP}, {"ask": ASK}]})
    await run.start()
    run.steps.clear()
    await run.done(1)
    assert run.steps["/do/0/t0"].times.phase == "PEOPLE_QUEUE"
    run.steps.clear()
    await run.answer(2, OpenHumanTask, FactKind.TASK_HELD, {"by": "ann"})
    assert run.steps["/do/0/t0"].times.phase == "HELD"
