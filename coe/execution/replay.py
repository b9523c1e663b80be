"""Replay a journal: a holder brings the machine to where the last holder left the run."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final
from uuid import UUID

from sqlalchemy import select

from coe.catalog.decision_tables.actions import resolve_decision
from coe.catalog.flows.contents import runnable
from coe.catalog.links import call_links, decision_links
from coe.catalog.models import LinkKind
from coe.errors import CoeError, Unavailable
from coe.execution.runtime import Runtime
from coe.execution.turn import ActiveRun
from coe.formats import instants
from coe.json_types import JSON
from coe.language.model.definition import Definition
from coe.leaves.declared import Declared
from coe.machine.facts import Fact, FactKind
from coe.machine.machine import Machine, RunContext
from coe.runs.leases import Lease
from coe.runs.sealing import TeamSealer
from coe.runs.tables import JOURNAL, RUNS
from coe.work import Platform

CHUNK: Final = 2000


async def replay(runtime: Runtime, lease: Lease, definition: Definition) -> ActiveRun:
    """Apply the whole journal to a new machine.

    Raises:
        Unavailable: This process is so busy that an expression exceeds its limit of time.
    """
    run = lease.run
    secrets = runtime.secrets(run.team)
    context = RunContext(str(run.id), secrets=secrets, trace_id=run.trace_id)
    machine = Machine(definition, context, runtime.evaluate)
    declared = Declared.of(definition)
    active = ActiveRun(runtime.platform, runtime.journal, lease, machine, lease.position, declared)
    sealer = TeamSealer(runtime.platform.keyring, run.team)
    at = 0
    seconds = asyncio.get_running_loop().time()
    while at < lease.position:
        for fact in await _read(runtime.platform, sealer, run.id, at):
            await machine.apply(fact)
            if machine.exceeded():
                raise Unavailable("an expression that was within its limit of time exceeds it now")
            machine.event_uses()  # they are noted with the facts
            changes = machine.changed_steps()
            if at >= lease.projected:  # the others are written; held, they would fill the memory
                active.projection.hold(changes, at, seconds=seconds)
            at += 1
    active.pending = {command.key: command for command in machine.pending()}
    active.timers.inherit(active.pending.values())
    active.resumed = lease.position > 0
    return active


async def first_fact(platform: Platform, lease: Lease, definition: Definition) -> Fact:
    """The first fact of a run: its input, and the exact version of every reference."""
    sealer = TeamSealer(platform.keyring, lease.run.team)
    value: JSON = await sealer.open(RUNS, lease.run_id, "input", lease.input_sealed)
    flows: dict[str, JSON] = dict(await _resolve(platform, definition))
    max_visits = platform.settings.max_task_visits
    requested = lease.requested_at
    data: JSON = {
        "input": value,
        "flows": flows,
        "max_visits": max_visits,
        "requested": instants.write(requested),
    }
    return Fact(FactKind.RUN_STARTED, max(platform.clock(), requested), data=data)


async def _read(platform: Platform, sealer: TeamSealer, run_id: UUID, at: int) -> list[Fact]:
    async with platform.database.session() as session:
        rows = await session.execute(
            select(
                JOURNAL.c.position,
                JOURNAL.c.kind,
                JOURNAL.c.key,
                JOURNAL.c.at,
                JOURNAL.c.payload_sealed,
            )
            .where(JOURNAL.c.run_id == run_id, JOURNAL.c.position.between(at, at + CHUNK - 1))
            .order_by(JOURNAL.c.position),
        )
        found = rows.all()
    if [row.position for row in found[:1]] != [at]:
        message = f"the journal of run {run_id} has no entry at {at}"
        raise ValueError(message)
    return [
        Fact(
            FactKind(row.kind),
            row.at,
            row.key,
            await sealer.open(JOURNAL, f"{run_id}:{row.position}", "payload", row.payload_sealed),
        )
        for row in found
    ]


async def _resolve(platform: Platform, definition: Definition) -> dict[str, str]:
    """Exact refs by the refs as written; one that names nothing faults where it is used.

    A process without a version is written `name@latest` by the language.
    """
    exact: dict[str, str] = {}
    tasks = definition.tasks.values()
    links = [link for link in call_links(tasks) if link.kind is LinkKind.CALLS]
    decisions = list(decision_links(tasks))
    if not links and not decisions:
        return exact
    async with platform.database.session() as session:
        for link in decisions:
            with contextlib.suppress(CoeError):
                exact[str(link)] = (await resolve_decision(session, str(link))).ref
        for link in links:
            written = f"{link.entry}@{link.selector}" if link.selector else link.entry
            try:
                flow = await runnable(session, platform, written)
            except CoeError:
                continue
            exact[written] = flow.version.ref
            if not link.selector:
                exact[f"{link.entry}@latest"] = flow.version.ref
    return exact
