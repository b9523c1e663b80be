"""What must be true, of every commit and of the end: the judges of a simulated world."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import datetime
from itertools import combinations
from typing import TYPE_CHECKING, Any
from uuid import UUID

from coe.machine.commands import ArmTimer, Cancelled, Completed, Faulted, RunLeaf, StepUpdate
from coe.machine.facts import Fact, FactKind
from coe.machine.machine import Machine, RunContext
from coe.runs.step_times import time_columns
from tests.simulation import reference, seams
from tests.simulation.definitions import RAISED
from tests.simulation.storage import Data, Transaction
from tests.simulation.watching import look, stored_timers

if TYPE_CHECKING:
    from tests.simulation.world import World

ANSWERS = {
    "LEAF_COMPLETED": "LEAF",
    "LEAF_FAULTED": "LEAF",
    "TASK_ANSWERED": "TASK",
    "TASK_EXPIRED": "TASK",
    "TASK_FAULTED": "TASK",
    "CHILD_COMPLETED": "CHILD",
    "CHILD_FAULTED": "CHILD",
    "TIMER_FIRED": "TIMER",
}


class Watch:
    """Looks at every commit."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.ends: Counter[UUID] = Counter()
        self.reopened: Counter[UUID] = Counter()
        self.holders: dict[UUID, str] = {}
        self.parks: defaultdict[UUID, list[tuple[int, frozenset[str]]]] = defaultdict(list)
        """Of each run when it parked: how long its journal was, and its timers in the database."""

    def committed(self, transaction: Transaction) -> None:
        """Judge a transaction that is about to be committed."""
        look(self.world, transaction)
        for row, relation in transaction.written.items():
            if relation.name == "runs" and row.new is not None:
                if row.data is not None:
                    self._run(row.data, row.new)
                    self._held(row.data, row.new, transaction)
            elif relation.name == "journal_entries":
                self._entry(row.data, row.new, transaction)

    def _run(self, before: Data, after: Data) -> None:
        world, ident = self.world, after["id"]
        if after["fence"] < before["fence"]:
            world.fault(f"the fence of run {ident} goes back")
        if after["journal_length"] < before["journal_length"]:
            world.fault(f"the journal of run {ident} gets shorter")
        if before["state"].ended and after["state"].ended and before["state"] != after["state"]:
            world.fault(f"run {ident} ends twice: {before['state']}, then {after['state']}")
        if not before["state"].ended and after["state"].ended:
            self.ends[ident] += 1
        if before["state"].ended and not after["state"].ended:
            self.reopened[ident] += 1
            if before["state"].value == "COMPLETED":
                world.fault(f"run {ident} was completed and goes on")
        self._robbed(before, after)

    def _held(self, before: Data, after: Data, transaction: Transaction) -> None:
        """Note the holder of the run, and the timers with which it parks."""
        ident = after["id"]
        if after["fence"] > before["fence"] and ident in self.holders:
            self.world.faults.taken_over(self.holders[ident])
        if after["holder"] is not None:
            self.holders[ident] = after["holder"]
        elif before["holder"] is not None and after["state"].value == "WAITING":
            timers = stored_timers(self.world, ident, transaction)
            self.parks[ident].append((after["journal_length"], timers))

    def _robbed(self, before: Data, after: Data) -> None:
        """A holder that is well keeps what it holds."""
        holder = before["holder"]
        if holder is None or after["holder"] == holder or after["state"].ended:
            return
        world = self.world
        calm = world.loop.time() - world.faults.disturbed_at > 3 * world.settings.lease_seconds
        if before["local"] or not calm or after["state"].value == "WAITING":
            return
        for node in world.nodes:
            his = node.runtime is not None and node.runtime.holder == holder
            if his and node.alive and not node.stopping and after["fence"] != before["fence"]:
                world.fault(f"run {after['id']} was taken from a holder that is well")

    def _entry(self, before: Data | None, after: Data | None, transaction: Transaction) -> None:
        world = self.world
        if before is not None or after is None:
            world.fault("an entry of a journal was changed")
            return
        for row in world.server.store.relations["runs"].candidates("id", after["run_id"]):
            run = row.newest(transaction)
            if run is None:
                continue
            if run["fence"] != after["fence"]:
                world.fault(f"an entry of run {run['id']} has the fence of another holder")
            runtime = getattr(transaction.owner, "runtime", None)
            if runtime is not None and run["holder"] not in {None, runtime.holder}:
                world.fault(f"who does not hold run {run['id']} writes into its journal")


async def judge(world: World) -> None:
    """Judge the end of a world."""
    for run in world.rows("runs"):
        if run["state"].ended:
            await _judge_run(world, run)
    _judge_rows(world)


async def _judge_run(world: World, run: Data) -> None:
    ends, reopened = world.watch.ends[run["id"]], world.watch.reopened[run["id"]]
    if ends != reopened + 1:
        world.fault(f"run {run['id']} ended {ends} times and was reopened {reopened} times")
    if not run["local"]:
        await _judge_journal(world, run)
    _judge_times(world, run)
    await _judge_outcome(world, run)


async def _judge_journal(world: World, run: Data) -> None:
    journal = world.journal(run["id"])
    ident = f"run {run['id']} of {run['flow']}"
    if [entry["position"] for entry in journal] != list(range(run["journal_length"])):
        world.fault(f"the journal of {ident} has gaps")
        return
    fences = [entry["fence"] for entry in journal]
    if fences != sorted(fences):
        world.fault(f"the fences in the journal of {ident} go back")
    definition = seams.loaded(world.catalog[run["flow"]].definition).definition
    context = RunContext(str(run["id"]))
    machine = Machine(definition, context, world.expressions.evaluate)
    wanted_at: dict[str, int] = {}
    parks: defaultdict[int, list[frozenset[str]]] = defaultdict(list)
    for length, timers in world.watch.parks[run["id"]]:
        parks[length].append(timers)
    answered: Counter[tuple[str, str]] = Counter()
    steps: dict[str, StepUpdate] = {}
    for entry in journal:
        for command in await machine.apply(_fact(entry)):
            if isinstance(command, RunLeaf):
                wanted_at.setdefault(command.key, entry["position"])
        steps |= {each.key: each for each in machine.changed_steps()}
        if entry["at"] != machine.now:
            world.fault(f"the clock in the journal of {ident} is not that of the run")
        _judge_parks(world, ident, machine, parks[entry["position"] + 1])
        kind = ANSWERS.get(entry["kind"])
        if kind is not None:
            answered[kind, entry["key"]] += 1
    _judge_answers(world, ident, answered)
    _judge_leaves(world, run, wanted_at)
    _judge_end(world, run, machine)
    if machine.outcome is not None:
        _judge_steps(world, run, steps)


def _judge_steps(world: World, run: Data, steps: dict[str, StepUpdate]) -> None:
    """The rows of steps agree with the journal, whichever holder died before it wrote them."""
    seen = {each["key"]: _shown(each) for each in _steps(world, run)}
    told = {key: _told(each) for key, each in steps.items()}
    for key in told.keys() | seen.keys():
        if told.get(key) != seen.get(key):
            shown = f"{seen.get(key)} instead of {told.get(key)}"
            world.fault(f"step {key[:8]} of run {run['id']} of {run['flow']} shows {shown}")


def _steps(world: World, run: Data) -> list[Data]:
    rows = world.server.store.relations["run_steps"].candidates("run_id", run["id"])
    return [each for row in rows if (each := row.data) is not None]


def _told(step: StepUpdate) -> tuple[Any, ...]:
    columns = time_columns(step.times, ended=step.ended_at is not None)
    waits = columns.pop("waits")
    told = (step.state, step.parent_key, json.loads(waits) if waits else None)
    return (*told, *columns.values())


def _shown(row: Data) -> tuple[Any, ...]:
    names = ("phase", "changed_at", "waited_seconds", "held_seconds")
    return (row["state"], row["parent_key"], row["waits"], *(row[name] for name in names))


def _judge_times(world: World, run: Data) -> None:
    """The parts of the time of the run, and of each of its steps, add up to the whole."""
    for row in _steps(world, run):
        ident = f"step {row['name']} of run {run['id']} of {run['flow']}"
        if row["ended_at"] is not None:
            _judge_parts(world, ident, row, row["started_at"])
    if run["waits"] is None and run["held_seconds"] is None:
        world.report.counts["ends with unknown times"] += 1
    else:
        _judge_parts(world, f"run {run['id']} of {run['flow']}", run, run["requested_at"])
    for row in world.rows("human_task_holders"):
        if row["until"] is not None and row["until"] < row["at"]:
            world.fault(f"{row['by']} had the task {row['task_id']} for less than no time")


def _judge_parts(world: World, ident: str, row: Data, began: datetime) -> None:
    waits, held = row["waits"] or {}, row["held_seconds"] or 0.0
    whole = (row["ended_at"] - began).total_seconds()
    parts = [*waits.values(), held, whole - sum(waits.values()) - held]
    if min(parts) < -0.000_01:  # of rounding
        world.fault(f"the times of {ident} do not add up: {waits}, {held} held, of {whole}")
    for cause, seconds in waits.items():
        world.report.counts[f"seconds of {cause}"] += round(seconds)
    world.report.counts["seconds held"] += round(held)
    if abs(row.get("waited_seconds", sum(waits.values())) - sum(waits.values())) > 0.000_01:
        world.fault(f"the waits of {ident} are not their sum")


def _fact(entry: Data) -> Fact:
    data = seams.opened(entry["payload_sealed"])
    return Fact(FactKind(entry["kind"]), entry["at"], entry["key"], data)


def _judge_leaves(world: World, run: Data, wanted_at: dict[str, int]) -> None:
    ident = f"run {run['id']} of {run['flow']}"
    for key, name, length in world.external.started[run["id"]]:
        if key not in wanted_at:
            world.fault(f"leaf {name} of {ident} ran, and the journal knows nothing of it")
        elif wanted_at[key] >= length:
            world.fault(f"leaf {name} of {ident} ran before what led to it was committed")


def _judge_parks(world: World, ident: str, machine: Machine, parks: list[frozenset[str]]) -> None:
    """A run parks with every timer that its machine waits for, whichever holder armed it."""
    if not parks:
        return
    pending = machine.pending()
    waiting = {each.key for each in pending if isinstance(each, ArmTimer) and each.due is not None}
    if any(waiting - stored for stored in parks):
        world.fault(f"{ident} was parked without a timer that it waits for")


def _judge_answers(world: World, ident: str, answered: Counter[tuple[str, str]]) -> None:
    for (kind, key), count in answered.items():
        if kind in {"LEAF", "TASK"} and count > 1:
            world.fault(f"{kind} {key[:8]} of {ident} is answered {count} times")


def _judge_end(world: World, run: Data, machine: Machine) -> None:
    ident, state, outcome = f"run {run['id']} of {run['flow']}", run["state"].value, machine.outcome
    output = seams.opened(run["output_sealed"])
    match outcome:
        case Completed(value):
            if state != "COMPLETED" or value != output:
                world.fault(f"{ident} is {state}, its journal says completed")
        case Faulted():
            if state not in {"FAULTED", "CANCELLED"}:
                world.fault(f"{ident} is {state}, its journal says faulted")
        case Cancelled():
            if state != "CANCELLED":
                world.fault(f"{ident} is {state}, its journal says cancelled")
        case None:
            if state != "CANCELLED" or run["journal_length"]:
                error = seams.opened(run["error_sealed"])
                world.fault(f"{ident} is {state}, its journal says it goes on: {error}")


async def _judge_outcome(  # noqa: C901, PLR0912  # the cases of one question
    world: World, run: Data
) -> None:
    """The run came to what its machine comes to without any crash."""
    if run["parent_id"] is not None:
        return
    state, ident = run["state"].value, f"run {run['id']} of {run['flow']}"
    if state == "CANCELLED":
        if run["id"] not in world.people.cancelled:
            world.fault(f"{ident} was cancelled by nobody")
        return
    if run["id"] in world.people.cancelled and state == "FAULTED":
        return  # it faulted first, and nobody retries what was to be cancelled
    if run["id"] in world.people.accepted_cancels and not world.watch.reopened[run["id"]]:
        world.report.counts["ended before the cancellation"] += 1
    written = world.written.get(run["flow"])
    if not _certain(world, written):
        world.report.counts["uncertain outcomes"] += 1
        return
    world.report.counts["certain outcomes"] += 1
    value = seams.opened(run["input_sealed"])
    outcome = await reference.expected(world, run["flow"], value)
    match outcome:
        case Completed(output):
            tired = world.people.retries[run["id"]] >= reference.MAX_RETRIES
            if state == "FAULTED" and tired:
                world.report.counts["given up by people"] += 1
            elif state != "COMPLETED":
                error = seams.opened(run["error_sealed"])
                world.fault(f"{ident} is {state} and should be completed: {error}")
            elif run["local"]:
                _judge_local(world, run)
            elif seams.opened(run["output_sealed"]) != output:
                world.fault(
                    f"{ident} gave {seams.opened(run['output_sealed'])} instead of {output}"
                )
        case Faulted(error):
            if state != "FAULTED" and error.get("type") == RAISED:
                world.fault(f"{ident} is {state} and should be faulted")
        case _:
            world.fault(f"{ident} has no expected outcome")


def _certain(world: World, written: Any) -> bool:
    if written is None:
        return True
    if "child" in written.features:
        return written.certain and all(
            each.certain for name, each in world.written.items() if name.startswith("sales/c")
        )
    return bool(written.certain)


def _judge_local(world: World, run: Data) -> None:
    output = seams.opened(run["output_sealed"])
    if not isinstance(output, dict) or output.get("n") != "pack":
        world.fault(f"local run {run['id']} gave {output}")


def _judge_rows(world: World) -> None:
    runs = {run["id"]: run for run in world.rows("runs")}
    ended = {ident for ident, run in runs.items() if run["state"].ended}
    for name in ("timers", "run_inbox"):
        for row in world.rows(name):
            run = runs[row["run_id"]]
            retriable = run["parent_id"] is None and not run["local"]
            kept = name == "run_inbox" and run["state"].value == "FAULTED" and retriable
            if row["run_id"] in ended and not kept:  # it may be retried
                world.fault(
                    f"a row of {name} is left of run {row['run_id']} "
                    f"({runs[row['run_id']]['state'].value}): {row.get('kind')}"
                )
    for task in world.rows("human_tasks"):
        if task["run_id"] in ended and task["state"].value in {"OPEN", "CLAIMED", "ESCALATED"}:
            world.fault(f"a task of the ended run {task['run_id']} is open")
    _judge_tasks(world, runs)
    _judge_children(world, runs)
    _judge_engine(world, runs)


def _judge_tasks(world: World, runs: dict[UUID, Data]) -> None:
    """Every accepted answer is in the journal; one answer where one person is asked."""
    approvals: defaultdict[UUID, list[str]] = defaultdict(list)
    for approval in world.rows("human_task_approvals"):
        if approval["voided_at"] is None:
            approvals[approval["task_id"]].append(approval["by"])
    _judge_exclusions(world, approvals)
    for task in world.rows("human_tasks"):
        given = approvals[task["id"]]
        if len(given) > task["approvals_needed"] or len(given) != len(set(given)):
            world.fault(f"task {task['id']} was answered by {given}")
        if task["state"].value != "COMPLETED":
            continue
        run = runs[task["run_id"]]
        kinds = {
            entry["kind"] for entry in world.journal(task["run_id"]) if entry["key"] == task["key"]
        }
        if "TASK_ANSWERED" not in kinds and run["state"].value == "COMPLETED":
            certain = _certain(world, world.written.get(run["flow"]))
            if certain:
                world.fault(f"the answer to task {task['id']} is lost")


def _judge_exclusions(world: World, approvals: Mapping[UUID, list[str]]) -> None:
    """Nobody answered two tasks of a process that exclude whoever answered another."""
    processes: defaultdict[UUID, list[Data]] = defaultdict(list)
    for task in world.rows("human_tasks"):
        if task["exclude"]:
            processes[task["root_run_id"] or task["run_id"]].append(task)
    for tasks in processes.values():
        for one, other in combinations(tasks, 2):
            both = set(approvals[one["id"]]) & set(approvals[other["id"]])
            world.report.counts["pairs of tasks that exclude"] += 1
            if both and one["question"] != other["question"]:
                world.fault(f"{both} answered the tasks {one['id']} and {other['id']}")


def _judge_children(world: World, runs: dict[UUID, Data]) -> None:
    by_key = Counter(
        (run["parent_id"], run["parent_key"]) for run in runs.values() if run["parent_id"]
    )
    for (parent, key), count in by_key.items():
        if count > 1:
            world.fault(f"run {parent} has {count} children of step {key[:8]}")


def _judge_engine(world: World, runs: dict[UUID, Data]) -> None:
    """The engine is left with nothing of a run that has ended."""
    for ident, made in world.prefect.runs.items():
        run = runs.get(made["run"])
        if (
            run is not None
            and run["state"].ended
            and made["state"]["type"] in {"PAUSED", "SCHEDULED", "RUNNING", "PENDING"}
        ):
            kind = made["state"]["type"]
            world.report.counts[f"engine runs left {kind.lower()}"] += 1
            if kind in {"RUNNING", "PENDING"}:
                world.fault(f"the engine believes that {ident} of run {made['run']} is {kind}")
            world.prefect.orphans.append(ident)
