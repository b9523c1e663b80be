"""The times of steps and runs as readers see them: at every moment they add up to the whole."""

from __future__ import annotations

import asyncio
import textwrap
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from coe.access.actor import Actor
from coe.execution.advance import Parked, advance
from coe.human_tasks import actions as human_tasks
from coe.human_tasks import queries as task_queries
from coe.leaves.leaf import LeafFault
from coe.machine.commands import Phase, StepState, StepTimes, WaitCause
from coe.runs import actions, local_runs, queries
from coe.runs.drawings import run_svg
from coe.runs.records import StepRecord
from coe.runs.step_times import CalledRun, OpenStep, now_of, stored_times
from coe.runs.times_now import run_times
from coe.work import Platform
from tests.factories.people import FINANCE_APPROVER, SALES_OWNER, WAREHOUSE_WORKER
from tests.factories.runs import (
    APPROVAL,
    HTTP,
    Leaves,
    central,
    column,
    engine,
    lapse,
    local,
    open_task,
    publish,
    read_run,
    runtime,
    start,
    until,
)

CALL = """  - around:
      do:
        - pack:
            call: localFlow:1@default
            with: {ref: warehouse/pick-and-pack, input: {order: 7}}
"""
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


def _hurry(platform: Platform) -> None:
    """Have runs park at once."""
    platform.settings = platform.settings.model_copy(update={"linger_seconds": 0.1})


async def _steps(platform: Platform, run_id: UUID) -> dict[str, StepRecord]:
    async with platform.read(SALES_OWNER) as read:
        found = (await queries.steps_of_runs(read, [run_id])).get(run_id, ())
        now = read.now
    for step in found:
        _add_up(step, now)
    return {step.name: step for step in found}


def _add_up(step: StepRecord, now: datetime) -> None:
    assert step.times is not None
    assert step.started_at is not None
    assert step.worked_for is not None
    whole = (step.ended_at or max(step.times.since, now)) - step.started_at
    parts = [step.worked_for, *step.times.waits.values()]
    assert min(*parts, step.times.held) >= timedelta()
    assert step.times.held <= step.worked_for
    assert abs(sum(parts, timedelta()) - whole) < timedelta(milliseconds=1)


def _causes(step: StepRecord) -> set[str]:
    assert step.times is not None
    return {str(cause) for cause in step.times.waits}


async def _whole(platform: Platform, run_id: UUID) -> StepTimes:
    run, steps = await read_run(platform, run_id), await _steps(platform, run_id)
    times = run_times(run, list(steps.values()), platform.clock())
    assert times is not None
    assert times.waited + times.held <= times.since - run.requested_at
    return times


async def test_a_wait_is_no_longer_than_its_step(platform: Platform) -> None:
    await publish(platform, central("rests", "  - rest: {wait: {milliseconds: 1200}}\n"))
    async with runtime(platform, Leaves()) as running:
        _hurry(platform)
        run = await start(platform, "sales/rests")
        assert isinstance(await advance(running, run.id), Parked)
        await asyncio.sleep(2)  # nobody takes it up in time
        await advance(running, run.id)
    assert (await read_run(platform, run.id)).state == "COMPLETED"
    rest = (await _steps(platform, run.id))["rest"]
    assert rest.times is not None
    assert rest.times.waits[WaitCause.TIMER] == timedelta(seconds=1.2)
    assert set(rest.times.waits) <= {WaitCause.TIMER, WaitCause.DISPATCH}
    assert (await _whole(platform, run.id)).waits[WaitCause.DISPATCH] > timedelta(seconds=0.5)


async def test_what_a_person_holds_is_seen_at_once_and_the_run_sleeps_on(
    platform: Platform,
) -> None:
    inside = textwrap.indent(APPROVAL, "      ")
    await publish(platform, central("asks", f"  - around:\n      do:\n{inside}"))
    async with engine(platform):
        run = await start(platform, "sales/asks")
        task_id = await open_task(platform, run.id)
        await until(platform, run.id, "WAITING")
        journal = await column(platform, run.id, "journal_length")
        async with platform.work(FINANCE_APPROVER) as work:
            await human_tasks.claim_task(work, task_id)
        async with platform.work(FINANCE_APPROVER) as work:
            await human_tasks.claim_task(work, task_id)
        await asyncio.sleep(0.3)
        for step in (await _steps(platform, run.id)).values():
            assert step.times is not None
            assert step.times.held > timedelta(seconds=0.25)
            assert _causes(step) == {"PEOPLE_QUEUE"}
        assert (await _whole(platform, run.id)).held > timedelta(seconds=0.25)
        async with platform.read(SALES_OWNER) as read:
            assert "with people" in (await run_svg(read, run.id) or "")
        async with platform.work(FINANCE_APPROVER) as work:
            await human_tasks.release_task(work, task_id)
        before = (await _steps(platform, run.id))["approve"].times
        await asyncio.sleep(0.2)
        after = (await _steps(platform, run.id))["approve"].times
        assert before is not None
        assert after is not None
        assert after.held == before.held
        assert after.waited > before.waited + timedelta(seconds=0.15)
        assert await column(platform, run.id, "journal_length") == journal
        assert (await read_run(platform, run.id)).state == "WAITING"
        async with platform.work(FINANCE_APPROVER) as work:
            await human_tasks.complete_task(work, task_id, outcome="approved", answer={"limit": 1})
        await until(platform, run.id, "COMPLETED")
    async with platform.read(FINANCE_APPROVER) as read:
        [holder] = (await task_queries.task_extras(read, [task_id]))[task_id].holders
    assert holder.by == FINANCE_APPROVER.subject
    assert holder.until is not None
    held = holder.until - holder.at
    for step in (await _steps(platform, run.id)).values():
        assert step.times is not None
        assert step.times.held == held
    assert (await _whole(platform, run.id)).held == held


async def test_a_task_passes_from_hand_to_hand(platform: Platform) -> None:
    await publish(platform, central("asks", APPROVAL))
    async with engine(platform):
        run = await start(platform, "sales/asks")
        task_id = await open_task(platform, run.id)
        async with platform.work(FINANCE_APPROVER) as work:
            await human_tasks.claim_task(work, task_id)
        async with platform.work(FINANCE_APPROVER) as work:
            await human_tasks.delegate_task(work, task_id, to="finance-lead", comment="please")
        async with platform.work(Actor.of("sales-owner")) as work:
            await actions.cancel_run(work, run.id, reason="no more")
        await until(platform, run.id, "CANCELLED")
    async with platform.read(FINANCE_APPROVER) as read:
        holders = (await task_queries.task_extras(read, [task_id]))[task_id].holders
    assert [each.by for each in holders] == ["finance-approver", "finance-lead"]
    assert holders[0].until == holders[1].at
    assert all(each.until is not None and each.until >= each.at for each in holders)


async def test_a_local_flow_works_once_its_team_has_taken_it(platform: Platform) -> None:
    await publish(platform, local("pick-and-pack"), "warehouse-developer")
    await publish(platform, central("ships", CALL))
    async with runtime(platform, Leaves()) as running:
        _hurry(platform)
        run = await start(platform, "sales/ships")
        assert isinstance(await advance(running, run.id), Parked)
        async with platform.read(SALES_OWNER) as read:
            [child] = (await queries.children_of_runs(read, [run.id]))[run.id]
        await asyncio.sleep(0.3)
        for step in (await _steps(platform, run.id)).values():
            assert _causes(step) == {"OTHER_TEAM"}
        async with platform.work(WAREHOUSE_WORKER) as work:
            claim = await local_runs.claim_run(work, child.id)
        await asyncio.sleep(0.3)
        for step in (await _steps(platform, run.id)).values():
            assert step.worked_for is not None
            assert step.worked_for > timedelta(seconds=0.25)
            assert step.waited_for is not None
            assert step.waited_for > timedelta(seconds=0.25)
        for state in (StepState.RUNNING, StepState.FAULTED, StepState.RUNNING, StepState.COMPLETED):
            async with platform.work(WAREHOUSE_WORKER) as work:
                await local_runs.report_step(
                    work, child.id, attempt=claim.attempt, name="pick", state=state
                )
            await asyncio.sleep(0.05)
        async with platform.work(WAREHOUSE_WORKER) as work:
            await local_runs.report_run(
                work, child.id, attempt=claim.attempt, output={"parcel": "1"}
            )
        await advance(running, run.id)
    assert (await read_run(platform, run.id)).state == "COMPLETED"
    for step in (await _steps(platform, run.id)).values():
        assert _causes(step) <= {"OTHER_TEAM", "DISPATCH"}
        assert step.worked_for is not None
        assert step.worked_for > timedelta(seconds=0.25)
    async with platform.read(Actor.of("coe-lead")) as read:
        [pick] = (await queries.steps_of_runs(read, [child.id]))[child.id]
    _add_up(pick, platform.clock())
    assert _causes(pick) == {"RETRY"}
    times = await read_run(platform, child.id)
    assert times.waits is not None
    assert list(times.waits) == ["DISPATCH"]


async def test_a_local_run_waits_while_no_worker_has_it(platform: Platform) -> None:
    await publish(platform, local("pick-and-pack"), "warehouse-developer")
    async with platform.work(Actor.of("warehouse-developer")) as work:
        run = await actions.start_run(work, flow="warehouse/pick-and-pack", input={"order": 7})
    attempts = []
    for error in (None, {"type": "about:blank", "status": 500}, None):
        await asyncio.sleep(0.1)
        async with platform.work(WAREHOUSE_WORKER) as work:
            claim = await local_runs.claim_run(work, run.id)
        attempts.append(claim.attempt)
        async with platform.work(WAREHOUSE_WORKER) as work:
            if len(attempts) == 1:
                await local_runs.release_run(work, run.id, attempt=claim.attempt)
            else:
                output = {"parcel": "1"}
                await local_runs.report_run(
                    work, run.id, attempt=claim.attempt, output=output, error=error
                )
        if error is not None:
            await asyncio.sleep(0.1)
            async with platform.work(Actor.of("warehouse-lead")) as work:
                await actions.retry_run(work, run.id, reason="once more")
    ended = await read_run(platform, run.id)
    assert ended.ended_at is not None
    assert ended.waits is not None
    assert set(ended.waits) == {"DISPATCH", "OPERATOR"}
    assert ended.waits["DISPATCH"] >= 0.3
    assert ended.waits["OPERATOR"] >= 0.1
    assert sum(ended.waits.values()) <= (ended.ended_at - ended.requested_at).total_seconds()


async def test_a_faulted_run_waits_for_an_operator(platform: Platform) -> None:
    await publish(platform, central("calls", HTTP.format(name="credit")))
    broken = True

    async def shaky(_: object) -> Any:
        if broken:
            raise LeafFault({"type": "about:erp", "status": 503})
        return {}

    async with engine(platform, Leaves({"credit": shaky})):
        run = await start(platform, "sales/calls")
        await until(platform, run.id, "FAULTED")
        frozen = (await _steps(platform, run.id))["credit"]
        await asyncio.sleep(0.3)
        assert (await _steps(platform, run.id))["credit"] == frozen
        broken = False
        async with platform.work(SALES_OWNER) as work:
            await actions.retry_run(work, run.id, reason="it is mended")
        await until(platform, run.id, "COMPLETED")
    times = await _whole(platform, run.id)
    assert times.waits[WaitCause.OPERATOR] > timedelta(seconds=0.25)


async def test_a_run_that_ends_without_its_machine_has_no_known_times(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> Any:
        raise RuntimeError("a mistake of ours")

    await publish(platform, central("calls", HTTP.format(name="credit")))
    run = await start(platform, "sales/calls")
    async with runtime(platform, Leaves({"credit": {}})) as running:
        with monkeypatch.context() as patched:
            patched.setattr(running, "definition", broken)
            await advance(running, run.id)
    ended = await read_run(platform, run.id)
    assert ended.state == "FAULTED"
    assert run_times(ended, [], platform.clock()) is None


async def test_a_holder_that_dies_does_not_lose_who_held_a_task(platform: Platform) -> None:
    await publish(platform, central("asks", APPROVAL))
    async with runtime(platform, Leaves()) as dying:
        run = await start(platform, "sales/asks")
        _hurry(platform)
        await advance(dying, run.id)
    task_id = await open_task(platform, run.id)
    async with platform.work(FINANCE_APPROVER) as work:
        await human_tasks.claim_task(work, task_id)
    await lapse(platform)
    async with runtime(platform, Leaves()) as other:
        assert isinstance(await advance(other, run.id), Parked)  # it journals the claim, and waits
    first = (await _steps(platform, run.id))["approve"].times
    await asyncio.sleep(0.1)
    second = (await _steps(platform, run.id))["approve"].times
    assert first is not None
    assert second is not None
    assert second.held > first.held > timedelta()
    assert second.phase is Phase.HELD


# ---------------------------------------------------------------- what is added when reading


def _open(key: str, phase: Phase, *, parent: str | None = None, since: int = 0) -> OpenStep:
    at = NOON + timedelta(seconds=since)
    return OpenStep(key, parent, StepTimes(timedelta(), {}, phase, at))


def _seconds(times: StepTimes) -> dict[str, float]:
    parts = {str(cause): each.total_seconds() for cause, each in times.waits.items()}
    return parts | {"held": times.held.total_seconds()}


def test_people_in_two_branches_are_counted_around_them_once() -> None:
    one, two = (_open(key, Phase.PEOPLE_QUEUE, parent="fork") for key in ("one", "two"))
    fork = _open("fork", Phase.PEOPLE_QUEUE)
    one.held = [(_at(2), _at(6)), (_at(8), None)]
    two.held = [(_at(4), _at(7))]
    found = now_of([one, two, fork], _at(10))
    assert _seconds(found["one"]) == {"PEOPLE_QUEUE": 4, "held": 6}
    assert _seconds(found["two"]) == {"PEOPLE_QUEUE": 7, "held": 3}
    assert _seconds(found["fork"]) == {"PEOPLE_QUEUE": 3, "held": 7}


def test_what_was_held_is_given_back() -> None:
    task, around = _open("task", Phase.HELD, parent="do", since=3), _open("do", Phase.HELD, since=3)
    task.held = [(_at(1), _at(5))]
    found = now_of([task, around], _at(9))
    assert _seconds(found["task"]) == _seconds(found["do"]) == {"PEOPLE_QUEUE": 4, "held": 2}


def test_a_call_beside_work_does_not_count_around_it() -> None:
    call, fork = _open("call", Phase.OTHER_TEAM, parent="fork"), _open("fork", Phase.WORK)
    call.called = _called(requested=0, started=4)
    found = now_of([call, fork], _at(9))
    assert _seconds(found["call"]) == {"OTHER_TEAM": 4, "held": 0}
    assert found["fork"].waits == {}


def test_a_called_run_of_the_own_team_shows_its_causes() -> None:
    call, around = _open("call", Phase.DISPATCH, parent="do"), _open("do", Phase.DISPATCH)
    inside = StepTimes(timedelta(seconds=1), {WaitCause.TIMER: timedelta(seconds=2)}, _W, _at(9))
    call.called = _called(requested=0, started=3, other=False, steps=((_at(3), inside),))
    found = now_of([call, around], _at(9))
    assert _seconds(found["call"]) == {"DISPATCH": 3, "TIMER": 2, "held": 1}
    assert found["do"] == found["call"]


def test_a_clock_that_is_behind_takes_nothing_away() -> None:
    step = _open("task", Phase.PEOPLE_QUEUE, since=5)
    step.held = [(_at(3), None)]
    assert now_of([step], _at(2))["task"].since == _at(5)
    assert _called(requested=5, started=4).times().since == _at(9)
    assert _called(requested=12, started=14).times().since >= _at(12)


_W = Phase.WORK


def _at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def _called(
    requested: int,
    started: int,
    *,
    other: bool = True,
    steps: tuple[tuple[datetime, StepTimes], ...] = (),
) -> CalledRun:
    return CalledRun(other, _at(requested), _at(started), _at(9), None, None, steps)


@pytest.mark.parametrize(
    ("kind", "state", "cause"),
    [
        ("humanTask", StepState.WAITING, "PEOPLE_QUEUE"),
        ("listen", StepState.WAITING, "EVENT"),
        ("localFlow", StepState.WAITING, "OTHER_TEAM"),
        ("wait", StepState.WAITING, "TIMER"),
        ("try", StepState.RETRYING, "RETRY"),
    ],
)
def test_rows_of_an_earlier_release_get_a_cause_by_their_kind(
    kind: str, state: StepState, cause: str
) -> None:
    """Its processes may still write during an upgrade; they counted more than the whole."""
    old = {"held_seconds": 0.0, "waits": None, "phase": None, "kind": kind, "started_at": NOON}
    going = SimpleNamespace(
        **old, state=state, ended_at=None, changed_at=_at(2), waited_seconds=0.0
    )
    times = stored_times(going)
    assert times is not None
    assert _seconds(times.until(_at(5))) == {cause: 3, "held": 0}
    ended = SimpleNamespace(
        **old, state=StepState.COMPLETED, ended_at=_at(5), changed_at=_at(6), waited_seconds=6.5
    )
    times = stored_times(ended)
    assert times is not None
    assert times.waited == timedelta(seconds=5)
    assert times.since == _at(5)
