"""Verbs on runs: start, cancel, retry. Each checks, changes and records; none commits."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from coe.access.actor import DataClass
from coe.access.permissions import Permission
from coe.audit.events import Tag
from coe.catalog.flows.contents import runnable
from coe.catalog.models import EntryKind
from coe.catalog.queries import find_entry, find_version
from coe.catalog.records import RunnableFlow
from coe.db import new_id
from coe.errors import Conflict, Invalid, NotFound, Problem
from coe.formats import instants
from coe.json_types import JSON
from coe.machine.facts import Fact, FactKind
from coe.outbox import OUTBOX, OutboxKind, enqueue
from coe.runs import completion, inbox
from coe.runs.correlations import is_of_another_team
from coe.runs.event_subscriptions import subscribe_again
from coe.runs.interventions import keep_intervention
from coe.runs.local_timeouts import arm_timeout
from coe.runs.models import ENDED, InterventionKind, RunState
from coe.runs.records import IDENTITY_COLUMNS, RUN_COLUMNS, RunRecord
from coe.runs.requests import (
    MAX_CORRELATION_LENGTH,
    NewRun,
    Requester,
    check_input,
    insert_request,
    seal_request,
)
from coe.runs.step_times import LOCAL_TIMES, local_waits
from coe.runs.tables import RUNS
from coe.runs.visibility import held, owned, readable_runs, run_relations
from coe.work import Work, check_reason

_CORRELATION: Final = re.compile(rf"[A-Za-z0-9._:/+=-]{{1,{MAX_CORRELATION_LENGTH}}}")


async def start_run(
    work: Work,
    *,
    flow: str,
    input: JSON,  # noqa: A002  # the contract's name
    correlation_id: str | None = None,
    requester: Requester | None = None,
    reason: str | None = None,
    inherits: bool = False,
) -> RunRecord:
    """Request a run of one exact version of a flow; later publications do not change it.

    `requester` is who asks for it (by default the actor); `reason` is for the log. `inherits` says
    that the correlation id is that of the run whose event starts this one; a chosen one cannot be
    that of another team's run.

    Raises:
        NotFound: There is no such flow or version, or it may not be read.
        Forbidden: `run:start` is refused.
        Conflict: The version is not published, or retired.
        Invalid: The input does not fit the flow's input schema; nothing is saved.
    """
    chosen, decision = await _choose(work, flow)
    correlation = await _check_request(work, chosen, input, correlation_id)
    if correlation_id is not None and not inherits:
        await _require_free(work, correlation, chosen.version.team)
    asking = requester or Requester(work.actor.subject, work.actor.persons)
    new = NewRun(
        flow=chosen,
        input=input,
        correlation_id=correlation,
        started_by=work.actor,
        requester=asking.subject,
        requester_persons=asking.persons,
        good=asking.good,
        at=work.now,
        trace_id=work.request.trace_id,
    )
    row = await seal_request(work.keyring, new)
    await insert_request(work.session, row)
    await work.record(
        Tag.RUNS_RUN_START,
        resource=f"flow:{chosen.version.ref}",
        team=row["team"],
        decision=decision,
        detail={"run": str(row["id"])},
        reason=reason,
        correlation_id=correlation,
    )
    return await _read_back(work, row["id"])


async def cancel_run(work: Work, run_id: UUID, *, reason: str) -> RunRecord:
    """Cancel a run: its leaves, children, timers and tasks are stopped, and nothing more starts.

    A central run that has started ends as soon as its holder, or the next one, sees it. The run
    keeps who cancelled it, and why.

    Raises:
        Invalid: The reason is blank or too long.
        NotFound: There is no such run, or it may not be read.
        Forbidden: `run:cancel` is refused.
        Conflict: The run has ended.
    """
    run = await _lock(work, run_id)
    decision = _require(work, run, Permission.RUN_CANCEL)
    check_reason(reason)
    if run.state in ENDED:
        raise Conflict(f"the run has ended ({run.state.value}): there is nothing to cancel")
    await _keep(work, run, InterventionKind.CANCEL, reason)
    if run.local or (run.journal_length == 0 and run.holder is None):
        identity = IDENTITY_COLUMNS.record(run)
        await completion.close_cancelled(work.session, work.keyring, identity, reason, work.now)
        await enqueue(work.session, OutboxKind.CANCEL, run_id)
    else:
        fact = Fact(FactKind.RUN_CANCELLED, work.now, data={"reason": reason})
        await inbox.send(work.session, work.keyring, run_id, fact)
    await work.record(
        Tag.RUNS_RUN_CANCEL,
        resource=f"run:{run_id}",
        team=run.team,
        decision=decision,
        reason=reason,
        correlation_id=run.correlation_id,
    )
    return await _read_back(work, run_id)


async def retry_run(work: Work, run_id: UUID, *, reason: str) -> RunRecord:
    """Let a faulted run go on from the step that faulted; completed steps stay completed.

    Reports of the last attempt of a local run are stale from now on, and its timeout counts anew.
    The run keeps who retried it, and why.

    Raises:
        Invalid: The reason is blank or too long.
        NotFound: There is no such run, or it may not be read.
        Forbidden: `run:retry` is refused.
        Conflict: The run has not faulted, or another run called it and has received the fault.
    """
    run = await _lock(work, run_id)
    decision = _require(work, run, Permission.RUN_RETRY)
    check_reason(reason)
    if run.state is not RunState.FAULTED:
        raise Conflict(f"only a faulted run can be retried; this one is {run.state.value}")
    if run.parent_id is not None:
        raise Conflict(f"the run {run.parent_id} called this one: retry that")
    if run.local:
        await reopen_local(work.session, run, work.now)
    else:
        unknown = {"waits": None, "held_seconds": None}
        await work.session.execute(
            update(RUNS).where(RUNS.c.id == run_id).values(REOPENED | unknown)
        )
        await subscribe_again(work.session, run_id)
        data: JSON = {"since": instants.write(run.ended_at)} if run.ended_at else None
        fact = Fact(FactKind.RUN_RETRIED, work.now, data=data)
        await inbox.send(work.session, work.keyring, run_id, fact, dedupe=f"retry:{new_id()}")
    await _keep(work, run, InterventionKind.RETRY, reason)
    await work.record(
        Tag.RUNS_RUN_RETRY,
        resource=f"run:{run_id}",
        team=run.team,
        decision=decision,
        reason=reason,
        correlation_id=run.correlation_id,
    )
    return await _read_back(work, run_id)


async def reopen_local(session: AsyncSession, run: Any, at: datetime) -> None:
    """Request a local run that has ended once more: a new attempt, and its timeout from the start.

    What dispatch was still to do for its end is not wanted any more. `run` has its `id` and its
    `timeout_seconds`.
    """
    stopping = (OUTBOX.c.kind == OutboxKind.CANCEL) & (OUTBOX.c.subject == run.id)
    await session.execute(delete(OUTBOX).where(stopping))
    before = await session.execute(select(*LOCAL_TIMES).where(RUNS.c.id == run.id))
    waits = local_waits(before.one(), at) or None
    await session.execute(
        update(RUNS)
        .where(RUNS.c.id == run.id, RUNS.c.state.in_(ENDED))
        .values(REOPENED | {"fence": RUNS.c.fence + 1, "waits_since": at, "waits": waits}),
    )
    await arm_timeout(session, run.id, run.timeout_seconds)
    await enqueue(session, OutboxKind.START, run.id)


REOPENED: Final[dict[str, Any]] = {
    "state": RunState.REQUESTED,
    "ended_at": None,
    "error_type": None,
    "error_status": None,
    "error_instance": None,
    "error_title": None,
    "error_sealed": None,
}


async def _choose(work: Work, flow: str) -> tuple[RunnableFlow, Any]:
    work.require_scope(Permission.ENTRY_READ)
    version = await find_version(work, flow, EntryKind.FLOW)
    if version is None:
        entry = await find_entry(work, flow.split("@", 1)[0], EntryKind.FLOW)
        if entry is None:
            raise NotFound
        raise Conflict(f"{flow} names no published version: have one reviewed and published first")
    decision = work.require(
        Permission.RUN_START,
        resource=f"flow:{version.ref}",
        team=version.team,
        data_class=version.data_class,
    )
    return await runnable(work.session, work, version.ref), decision


async def _check_request(
    work: Work, flow: RunnableFlow, value: JSON, correlation_id: str | None
) -> str:
    problems = list(await check_input(work, flow, value))
    correlation = str(new_id()) if correlation_id is None else correlation_id
    if not _CORRELATION.fullmatch(correlation):
        message = (
            f"a correlation id has 1 to {MAX_CORRELATION_LENGTH} letters, digits and "
            ". _ : / + = -; it stands in clear in the log, so it names nobody"
        )
        problems.append(Problem("INPUT_CORRELATION_ID", message, path="/correlationId"))
    if problems:
        raise Invalid(problems)
    return correlation


async def _require_free(work: Work, correlation: str, team: str) -> None:
    if await is_of_another_team(work.session, correlation, team):
        message = "a run of another team has this correlation id: choose another one"
        raise Invalid([Problem("INPUT_CORRELATION_ID", message, path="/correlationId")])


async def _lock(work: Work, run_id: UUID) -> Any:
    """The run, locked against its holder's next append, if the actor may read it."""
    work.require_scope(Permission.RUN_READ)
    found = await work.session.execute(
        select(
            *IDENTITY_COLUMNS,
            RUNS.c.state,
            RUNS.c.holder,
            RUNS.c.journal_length,
            RUNS.c.timeout_seconds,
            RUNS.c.ended_at,
            owned(work),
            held(work),
        )
        .where(RUNS.c.id == run_id, readable_runs(work))
        .with_for_update(key_share=True, of=RUNS),
    )
    run = found.one_or_none()
    if run is None:
        raise NotFound
    return run


def _require(work: Work, run: Row[Any], permission: Permission) -> Any:
    return work.require(
        permission,
        resource=f"run:{run.id}",
        team=run.team,
        data_class=DataClass(run.data_class),
        relations=run_relations(work, run),
        correlation_id=run.correlation_id,
    )


async def _keep(work: Work, run: Row[Any], kind: InterventionKind, reason: str) -> None:
    await keep_intervention(
        work.session,
        work.keyring,
        run,
        kind,
        by=work.actor.subject,
        at=work.now,
        reason=reason,
    )


async def _read_back(work: Work, run_id: UUID) -> RunRecord:
    row = await work.session.execute(select(*RUN_COLUMNS).where(RUNS.c.id == run_id))
    return RUN_COLUMNS.record(row.one())
