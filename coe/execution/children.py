"""Runs that a run calls: resolved, checked and requested in the turn of the calling run.

A child is identified by its parent and the key of the calling step, so it is started once however
often the turn is tried. The run acts as itself: the policy decides whether runs may start that
flow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy import delete, exists, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from coe.access.actor import Actor
from coe.access.permissions import Permission
from coe.audit.events import AuditOutcome, Tag
from coe.audit.log import NewEvent, append
from coe.catalog.flows.contents import runnable
from coe.catalog.records import RunnableFlow
from coe.crypto.keys import Keyring
from coe.errors import CoeError, Unavailable
from coe.json_types import JSON
from coe.machine.commands import StartChild
from coe.machine.errors import type_of
from coe.machine.facts import Fact, FactKind
from coe.outbox import OUTBOX, OutboxKind
from coe.runs.actions import reopen_local
from coe.runs.audit import run_event
from coe.runs.journal import Change
from coe.runs.models import RunState
from coe.runs.records import RunIdentity
from coe.runs.requests import NewRun, check_input, insert_request, seal_request
from coe.runs.row_codes import RUN_CODES
from coe.runs.sealing import TeamSealer
from coe.runs.tables import INBOX, RUNS
from coe.work import Platform, Read


@dataclass(frozen=True, slots=True)
class ChildStart:
    """The fact of a child for the machine, and the changes of the same transaction."""

    fact: Fact
    changes: Sequence[Change] = ()
    replaces_cancelled: bool = False
    """The earlier child of the step was cancelled: facts of that one no longer count."""


async def start(
    platform: Platform,
    parent: RunIdentity,
    command: StartChild,
    at: datetime,
) -> ChildStart:
    """Start a child, or find the one that this step has already started.

    An obstacle (no such flow, refused, input that does not fit) is a fault of the step.
    """
    actor = Actor.of(f"run:{parent.id}")
    async with platform.read(actor) as read:
        known = await _known(read, parent, command.key)
        if known is None:
            return await _new(read, parent, command, at)
        if known.state is RunState.CANCELLED and not known.local:
            new = await _new(read, parent, command, at)
            forget = partial(_forget_cancelled, parent.id, command.key)
            return ChildStart(
                new.fact,
                [partial(_supersede, known.id), forget, *new.changes],
                replaces_cancelled=True,
            )
        return await _again(read, parent, known, command, at)


async def _new(
    read: Read,
    parent: RunIdentity,
    command: StartChild,
    at: datetime,
) -> ChildStart:
    try:
        flow = await runnable(read.session, read, command.flow)
    except CoeError as error:
        return _fault(command.key, at, "configuration", 400, error.message)
    version = flow.version
    decision = read.decide(Permission.RUN_START, team=version.team, data_class=version.data_class)
    event = run_event(
        parent,
        Tag.RUNS_RUN_START,
        at,
        team=version.team,
        rule=decision.rule,
        detail={"flow": version.ref, "parent": str(parent.id)},
    )
    if not decision.allowed:
        refused = replace(event, resource=f"flow:{version.ref}", outcome=AuditOutcome.DENIED)
        fault = _fault(command.key, at, "authorization", 403, decision.explanation)
        return ChildStart(fault.fact, [partial(_record, read.keyring, refused)])
    problems = await check_input(read, flow, command.input)
    if problems:
        violations = "; ".join(f"{each.path}: {each.message}" for each in problems)
        return _fault(command.key, at, "validation", 400, violations)
    row = await seal_request(read.keyring, _request(read, parent, command, flow, at))
    detail: JSON = {"run": str(row["id"]), "parent": str(parent.id)}
    started = replace(event, resource=f"flow:{version.ref}", detail=detail)
    return ChildStart(
        _child_started(command.key, row["id"], at),
        [partial(_insert, row), partial(_record, read.keyring, started)],
    )


def _request(
    read: Read,
    parent: RunIdentity,
    command: StartChild,
    flow: RunnableFlow,
    at: datetime,
) -> NewRun:
    return NewRun(
        flow=flow,
        input=command.input,
        correlation_id=parent.correlation_id,
        started_by=read.actor,
        requester=parent.requester,
        requester_persons=parent.requester_persons,
        good=RUN_CODES.good(read.keyring.macs, parent),
        at=at,
        parent=(parent.id, command.key),
        trace_id=parent.trace_id,
    )


async def _known(read: Read, parent: RunIdentity, key: str) -> Any:
    """The child of this step, once no transaction is changing it.

    A child that ends while this run is faulted notifies nobody. If its end is not committed yet,
    this waits for it. An end that is not seen here is sent to this run, for it is retried already.
    """
    found = await read.session.execute(
        select(
            RUNS.c.id,
            RUNS.c.team,
            RUNS.c.local,
            RUNS.c.state,
            RUNS.c.output_sealed,
            RUNS.c.error_sealed,
            RUNS.c.timeout_seconds,
        )
        .where(RUNS.c.parent_id == parent.id, RUNS.c.parent_key == key)
        .with_for_update(read=True),
    )
    return found.one_or_none()


async def _again(
    read: Read,
    parent: RunIdentity,
    child: Any,
    command: StartChild,
    at: datetime,
) -> ChildStart:
    """The step asks a second time, after a retry of the parent: go on with the child it has."""
    sealer = TeamSealer(read.keyring, child.team)
    key = command.key
    started = ChildStart(_child_started(key, child.id, at), [partial(_go_on, child.id)])
    match child.state:
        case RunState.COMPLETED if command.wait:
            output = await sealer.open(RUNS, child.id, "output", child.output_sealed)
            return ChildStart(Fact(FactKind.CHILD_COMPLETED, at, key, {"output": output}))
        case RunState.FAULTED if command.wait:
            error = await sealer.open(RUNS, child.id, "error", child.error_sealed)
            return ChildStart(Fact(FactKind.CHILD_FAULTED, at, key, {"error": error}))
        case RunState.CANCELLED:
            changes = [
                partial(_forget_cancelled, parent.id, key),
                partial(reopen_local, run=child, at=at),
            ]
            return ChildStart(started.fact, changes, replaces_cancelled=True)
        case _:
            return started


async def _go_on(child_id: UUID, session: AsyncSession) -> None:
    """Take back a cancellation of the child that dispatch has not carried out yet.

    Raises:
        Unavailable: It is being carried out: the turn is tried again when the child has ended.
    """
    waiting = (OUTBOX.c.kind == OutboxKind.CANCEL) & (OUTBOX.c.subject == child_id)
    await session.execute(delete(OUTBOX).where(waiting))
    cancelling = exists().where(
        INBOX.c.run_id == child_id, INBOX.c.kind == FactKind.RUN_CANCELLED.value
    )
    stopping = or_(RUNS.c.state == RunState.CANCELLED, cancelling)
    if await session.scalar(select(RUNS.c.id).where(RUNS.c.id == child_id, stopping)):
        raise Unavailable("the called run is being cancelled; another one takes its place then")


async def _forget_cancelled(parent_id: UUID, key: str, session: AsyncSession) -> None:
    """Delete the facts of the cancelled child; the next one starts with this commit."""
    mine = (INBOX.c.run_id == parent_id) & (INBOX.c.key == key)
    await session.execute(
        delete(INBOX).where(mine, INBOX.c.kind == FactKind.CHILD_FAULTED.value),
    )


async def _supersede(child_id: UUID, session: AsyncSession) -> None:
    """Leave the step to a new child: a cancelled machine cannot go on."""
    await session.execute(
        update(RUNS)
        .where(RUNS.c.id == child_id)
        .values(parent_key=RUNS.c.parent_key + f":superseded:{child_id}"),
    )


def _child_started(key: str, child_id: UUID, at: datetime) -> Fact:
    return Fact(FactKind.CHILD_STARTED, at, key, {"run": str(child_id)})


def _fault(key: str, at: datetime, name: str, status: int, detail: str) -> ChildStart:
    error: JSON = {
        "type": type_of(name),
        "status": status,
        "title": "The called flow was not started",
        "detail": detail,
    }
    return ChildStart(Fact(FactKind.CHILD_FAULTED, at, key, {"error": error}))


async def _insert(row: dict[str, Any], session: AsyncSession) -> None:
    await insert_request(session, row)


async def _record(keyring: Keyring, event: NewEvent, session: AsyncSession) -> None:
    await append(session, keyring, event)
