"""Local runs: what a team's worker may do with the runs of the team's local flows.

A worker claims a run and gets an attempt, which it sends with every report; a later claim makes
the attempt stale. The same report may be sent twice. The output of a completed step is kept and
returned by the next claim, so the step never runs twice. Leases are by the database's clock.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import and_, func, select, update

from coe.access.actor import DataClass
from coe.access.permissions import Permission
from coe.access.policy_lines import Relation
from coe.audit.events import Tag
from coe.catalog.flows.contents import runnable_version
from coe.confined.budget import BudgetSpent
from coe.db import new_id
from coe.errors import Conflict, Invalid, NotFound, Problem
from coe.json_types import JSON
from coe.machine.commands import Completed, Faulted, Phase, RunOutcome, StepState, WaitCause
from coe.machine.errors import type_of
from coe.outbox import OutboxKind, enqueue
from coe.runs import completion
from coe.runs.computed import data_problems
from coe.runs.journal import save_steps
from coe.runs.models import ENDED, RunState
from coe.runs.records import IDENTITY_COLUMNS, RUN_COLUMNS, LocalClaim, RunRecord
from coe.runs.sealing import TeamSealer, error_columns
from coe.runs.step_times import LOCAL_TIMES, local_waits
from coe.runs.tables import NOW, RUNS, STEPS
from coe.work import Work

_REPORTED_STATES: Final = (StepState.RUNNING, StepState.COMPLETED, StepState.FAULTED)
_TOKEN: Final = re.compile(r"[A-Za-z0-9-]{8,100}")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def step_key(run_id: UUID, name: str) -> str:
    """The key of a step of a local run, the same in every attempt: an idempotency key."""
    return hashlib.sha256(f"{run_id}\n{name}".encode()).hexdigest()


async def claim_run(work: Work, run_id: UUID, *, token: str | None = None) -> LocalClaim:
    """Take a local run; its earlier worker can no longer report.

    A claim that is sent again with the same `token`, because its answer was lost, returns the same
    attempt.

    Raises:
        Invalid: The token is not one.
        NotFound: There is no such local run of the worker's team.
        Forbidden: The worker may report runs, but not read their data.
        Conflict: It has ended, or another worker that is alive has it.
    """
    _check_token(token)
    run = await _lock(work, run_id)
    decision = work.require(
        Permission.RUN_READ_DATA,
        resource=f"run:{run_id}",
        team=run.team,
        data_class=DataClass(run.data_class),
        relations={Relation.HOLDER},
        correlation_id=run.correlation_id,
    )
    if run.state in ENDED:
        raise Conflict(f"the run has ended: {run.state.value}")
    again = _is_repeat(work, run, token)
    if run.held and not again:
        raise Conflict("another worker has the run")
    taken = await work.session.execute(
        update(RUNS)
        .where(RUNS.c.id == run_id)
        .values(
            holder=work.actor.subject,
            fence=RUNS.c.fence + int(not again),
            claim_token=token,
            claimed_by=work.actor.identity,
            lease_until=_lease_end(work),
            started_at=func.coalesce(RUNS.c.started_at, NOW),
            state=RunState.RUNNING,
            waits=local_waits(run, run.now) or None,
        )
        .returning(*RUN_COLUMNS),
    )
    row = RUN_COLUMNS.record(taken.one())
    await work.record(
        Tag.RUNS_RUN_READ_DATA,
        resource=f"run:{run_id}",
        team=run.team,
        decision=decision,
        detail={"attempt": row.attempt},
        correlation_id=run.correlation_id,
    )
    sealer = TeamSealer(work.keyring, run.team)
    return LocalClaim(
        run=row,
        attempt=row.attempt,
        input=await sealer.open(RUNS, run_id, "input", run.input_sealed),
        done=await _done(work, sealer, run_id),
        heartbeat_seconds=work.platform.settings.heartbeat_seconds,
    )


async def heartbeat_run(work: Work, run_id: UUID, *, attempt: int) -> RunRecord:
    """Extend the lease of a worker that still has the run.

    Raises:
        NotFound: There is no such local run of the worker's team.
        Conflict: The attempt is stale, or the run has ended: stop the work.
    """
    run = await _lock(work, run_id)
    _check_attempt(work, run, attempt)
    if run.state in ENDED:
        raise Conflict(f"the run has ended: {run.state.value}")
    await work.session.execute(
        update(RUNS)
        .where(RUNS.c.id == run_id)
        .values(holder=work.actor.subject, lease_until=_lease_end(work)),
    )
    return await _read_back(work, run_id)


async def release_run(work: Work, run_id: UUID, *, attempt: int) -> RunRecord:
    """Give up a run that its worker cannot finish, so that another takes it at once.

    Completed steps stay completed. The attempt can report nothing more.

    Raises:
        NotFound: There is no such local run of the worker's team.
        Conflict: The attempt is stale, or the run has ended.
    """
    run = await _lock(work, run_id)
    _check_attempt(work, run, attempt)
    if run.state in ENDED:
        raise Conflict(f"the run has ended: {run.state.value}")
    released = {"holder": None, "claim_token": None, "lease_until": None, "waits_since": work.now}
    await work.session.execute(
        update(RUNS).where(RUNS.c.id == run_id).values(released | {"fence": RUNS.c.fence + 1}),
    )
    await enqueue(work.session, OutboxKind.WAKE, run_id)
    await _record(work, run, {"released": True, "attempt": attempt})
    return await _read_back(work, run_id)


async def report_step(
    work: Work,
    run_id: UUID,
    *,
    attempt: int,
    name: str,
    state: StepState,
    output: JSON = None,
    error: dict[str, JSON] | None = None,
) -> RunRecord:
    """Record that a step of a local run is RUNNING, COMPLETED (with its output) or FAULTED.

    A completed step stays completed: a second report of it changes nothing.

    Raises:
        NotFound: There is no such local run of the worker's team.
        Conflict: The attempt is stale, or the run has ended.
        Invalid: The name of the step is not valid, or the state is none of these three.
    """
    run = await _lock(work, run_id)
    _check_attempt(work, run, attempt)
    _check_name(name)
    _check_state(state)
    before = await _step(work, run_id, name)
    if before is not None and before.state == StepState.COMPLETED:
        return await _read_back(work, run_id)
    if run.state in ENDED:
        raise Conflict(f"the run has ended: {run.state.value}")
    row = await _step_row(work, run, _Report(name, state, output, error), before)
    await save_steps(work.session, [row])
    await work.session.execute(
        update(STEPS)
        .where(STEPS.c.run_id == run_id, STEPS.c.key == row["key"])
        .values(output_sealed=row["output_sealed"]),
    )
    if state is not StepState.RUNNING:
        await _record(work, run, {"step": name, "state": state.value, "attempt": attempt})
    return await _read_back(work, run_id)


async def report_run(
    work: Work,
    run_id: UUID,
    *,
    attempt: int,
    output: JSON = None,
    error: dict[str, JSON] | None = None,
) -> RunRecord:
    """End a local run: completed with its output, or faulted with an error.

    An output that does not fit the flow's output schema is a fault.

    Raises:
        NotFound: There is no such local run of the worker's team.
        Conflict: The attempt is stale, or the run has ended in another state.
    """
    run = await _lock(work, run_id)
    _check_attempt(work, run, attempt)
    if run.state in ENDED:
        same = run.state is (RunState.COMPLETED if error is None else RunState.FAULTED)
        if not same:
            raise Conflict(f"the run has ended: {run.state.value}")
        return await _read_back(work, run_id)
    outcome = await _outcome(work, run, output, error)
    end = await completion.prepare(work.keyring, IDENTITY_COLUMNS.record(run), outcome, work.now)
    await completion.close(work.session, work.keyring, end)
    await _record(work, run, {"outcome": type(outcome).__name__, "attempt": attempt})
    return await _read_back(work, run_id)


async def _lock(work: Work, run_id: UUID) -> Any:
    found = await work.session.execute(
        select(
            *IDENTITY_COLUMNS,
            RUNS.c.state,
            RUNS.c.claim_token,
            RUNS.c.claimed_by,
            RUNS.c.fence,
            and_(RUNS.c.holder.is_not(None), RUNS.c.lease_until >= NOW).label("held"),
            RUNS.c.input_sealed,
            *LOCAL_TIMES,
            NOW.label("now"),
        )
        .where(RUNS.c.id == run_id, RUNS.c.local)
        .with_for_update(key_share=True),
    )
    run = found.one_or_none()
    if run is None:
        raise NotFound
    work.require(
        Permission.RUN_REPORT,
        resource=f"run:{run_id}",
        team=run.team,
        data_class=DataClass(run.data_class),
        hide=True,
        correlation_id=run.correlation_id,
    )
    return run


def _is_repeat(work: Work, run: Any, token: str | None) -> bool:
    """Whether this is a claim that its holder has sent already."""
    mine = run.holder is not None and run.claimed_by == work.actor.identity
    return mine and token is not None and token == run.claim_token


def _check_attempt(work: Work, run: Any, attempt: int) -> None:
    if run.fence != attempt:
        raise Conflict(f"attempt {attempt} is stale: the run is at {run.fence}")
    if run.claimed_by != work.actor.identity:
        raise Conflict(f"attempt {attempt} is another worker's")


def _check_token(token: str | None) -> None:
    if token is not None and _TOKEN.fullmatch(token) is None:
        message = "a token has 8 to 100 letters, digits and hyphens, chosen at random"
        raise Invalid([Problem("INPUT_TOKEN", message, path="/token")])


def _check_name(name: str) -> None:
    if _NAME.fullmatch(name) is None:
        message = "a step's name has 1 to 100 letters, digits, hyphens, dots and underscores"
        raise Invalid([Problem("INPUT_STEP_NAME", message, path="/name")])


def _check_state(state: StepState) -> None:
    if state not in _REPORTED_STATES:
        message = "the state of a reported step is RUNNING, COMPLETED or FAULTED"
        raise Invalid([Problem("INPUT_STEP_STATE", message, path="/state")])


async def _done(work: Work, sealer: TeamSealer, run_id: UUID) -> dict[str, JSON]:
    rows = await work.session.execute(
        select(STEPS.c.id, STEPS.c.key, STEPS.c.name, STEPS.c.output_sealed).where(
            STEPS.c.run_id == run_id,
            STEPS.c.state == StepState.COMPLETED,
        ),
    )
    return {
        row.name: await sealer.open(STEPS, f"{run_id}:{row.key}", "output", row.output_sealed)
        for row in rows
    }


async def _step(work: Work, run_id: UUID, name: str) -> Any:
    found = await work.session.execute(
        select(
            STEPS.c.state,
            STEPS.c.attempt,
            STEPS.c.started_at,
            STEPS.c.changed_at,
            STEPS.c.waits,
            STEPS.c.place,
        ).where(
            STEPS.c.run_id == run_id,
            STEPS.c.key == step_key(run_id, name),
        ),
    )
    return found.one_or_none()


@dataclass(frozen=True, slots=True)
class _Report:
    name: str
    state: StepState
    output: JSON
    error: dict[str, JSON] | None


async def _step_row(work: Work, run: Any, report: _Report, before: Any) -> dict[str, Any]:
    """The row of the step; each RUNNING after an earlier report is a further attempt.

    The time from a fault to the next attempt is a wait. A worker that dies says nothing: until the
    next one reports, its step counts as working.
    """
    sealer = TeamSealer(work.keyring, run.team)
    key = step_key(run.id, report.name)
    row_key = f"{run.id}:{key}"
    again = before is not None and report.state is StepState.RUNNING
    at = max(work.now, before.changed_at) if before else work.now
    waits = dict(before.waits or {}) if before else {}
    if again and before.state != StepState.RUNNING:
        paused = (at - before.changed_at).total_seconds()
        waits[WaitCause.RETRY.value] = waits.get(WaitCause.RETRY.value, 0.0) + paused
    return {
        "id": new_id(),
        "run_id": run.id,
        "key": key,
        "place": before.place if before else await _next_place(work, run.id),
        "path": f"/{report.name}",
        "name": report.name,
        "kind": "step",
        "state": report.state,
        "attempt": (before.attempt if before else 1) + again,
        "iteration": None,
        "started_at": before.started_at if before else at,
        "ended_at": None if report.state is StepState.RUNNING else at,
        "changed_at": at,
        "phase": Phase.WORK.value if report.state is StepState.RUNNING else None,
        "waited_seconds": sum(waits.values()),
        "waits": waits or None,
        **error_columns(report.error),
        "error_sealed": await sealer.maybe(STEPS, row_key, "error", report.error),
        "output_sealed": None
        if report.state is not StepState.COMPLETED
        else await sealer.seal(STEPS, row_key, "output", report.output),
        "fence": run.fence,
    }


async def _next_place(work: Work, run_id: UUID) -> int:
    last = await work.session.scalar(
        select(func.max(STEPS.c.place)).where(STEPS.c.run_id == run_id),
    )
    return 0 if last is None else last + 1


async def _outcome(
    work: Work,
    run: Any,
    output: JSON,
    error: dict[str, JSON] | None,
) -> RunOutcome:
    if error is not None:
        return Faulted(error)
    flow = await runnable_version(work.session, work, run.version_id)
    try:
        problems = await work.compute(data_problems, flow.output_schema, output, "/output")
    except BudgetSpent as spent:  # the work is done, and a repeat takes as much
        problems = spent.problems
    if not problems:
        return Completed(output)
    return Faulted(
        {
            "type": type_of("validation"),
            "status": 400,
            "title": "The output of the local flow does not fit its schema",
            "detail": "; ".join(f"{each.path}: {each.message}" for each in problems),
        },
    )


async def _record(work: Work, run: Any, detail: JSON) -> None:
    await work.record(
        Tag.RUNS_RUN_REPORT,
        resource=f"run:{run.id}",
        team=run.team,
        detail=detail,
        correlation_id=run.correlation_id,
    )


async def _read_back(work: Work, run_id: UUID) -> RunRecord:
    row = await work.session.execute(select(*RUN_COLUMNS).where(RUNS.c.id == run_id))
    return RUN_COLUMNS.record(row.one())


def _lease_end(work: Work) -> Any:
    return NOW + timedelta(seconds=work.platform.settings.lease_seconds)
