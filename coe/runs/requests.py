"""Request a run: insert its row with the input sealed, and a message to start it.

`startRun` of a person, a schedule, an event and `StartChild` of a machine all come here.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncSession

from coe.access.actor import Actor
from coe.catalog.models import FlowKind
from coe.catalog.records import RunnableFlow
from coe.confined.budget import BudgetSpent
from coe.crypto.keys import Keyring
from coe.db import new_id
from coe.errors import Problem
from coe.json_types import JSON
from coe.language.durations import parse
from coe.outbox import OutboxKind, enqueue
from coe.runs.computed import data_problems
from coe.runs.counting import count_request
from coe.runs.event_subscriptions import subscribe, wanted_types
from coe.runs.local_timeouts import arm_timeout
from coe.runs.models import RunState
from coe.runs.row_codes import RUN_CODES, with_code
from coe.runs.sealing import TeamSealer
from coe.runs.tables import RUNS
from coe.work import Read

MAX_CORRELATION_LENGTH: Final = 200


@dataclass(frozen=True, slots=True)
class NewRun:
    """The parts of a new run. `parent` is the calling run and the key of its step.

    `requester_persons` are all who count as its requester (`coe.access.persons`). `good` is whether
    the row from which they are taken is what the platform wrote, None if it has no code
    (`coe.runs.row_codes`).
    """

    flow: RunnableFlow
    input: JSON
    correlation_id: str
    started_by: Actor
    at: datetime
    requester: str
    requester_persons: Collection[str]
    parent: tuple[UUID, str] | None = None
    trace_id: str | None = None
    good: bool | None = True


@dataclass(frozen=True, slots=True)
class Requester:
    """Who asks for a run, and all who count as one with it; `good` is as that of `NewRun`."""

    subject: str
    persons: Collection[str]
    good: bool | None = True


async def check_input(read: Read, flow: RunnableFlow, value: JSON) -> tuple[Problem, ...]:
    """The violations of the flow's input schema by an input, located below `/input`."""
    try:
        return await read.compute(data_problems, flow.input_schema, value, "/input")
    except BudgetSpent as spent:
        return tuple(replace(each, path="/input") for each in spent.problems)


async def seal_request(keyring: Keyring, new: NewRun) -> dict[str, Any]:
    """The row of `runs` for a new run, and under `wants` the types of events that it may want.

    It may make a data key, so call it before the transaction.
    """
    version = new.flow.version
    run_id = new_id()
    sealer = TeamSealer(keyring, version.team)
    parent_id, parent_key = new.parent or (None, None)
    local = version.flow_kind is FlowKind.LOCAL
    row = {
        "id": run_id,
        "flow": version.entry_ref,
        "version": version.version,
        "version_id": version.id,
        "local": local,
        "engine": version.engine or "prefect",
        "team": version.team,
        "data_class": version.data_class.value,
        "state": RunState.REQUESTED,
        "correlation_id": new.correlation_id,
        "parent_id": parent_id,
        "parent_key": parent_key,
        "started_by": new.started_by.subject,
        "started_by_kind": new.started_by.kind.value,
        "requester": new.requester,
        "requester_persons": sorted(new.requester_persons),
        "requested_at": new.at,
        "input_sealed": await sealer.seal(RUNS, run_id, "input", new.input),
        "trace_id": new.trace_id,
        "fence": 0,
        "journal_length": 0,
        "steps_told": 0,
        "waits_since": new.at if local else None,
        "timeout_seconds": _seconds(new.flow.timeout) if local else None,
        "wants": wanted_types(new.flow),
    }
    return with_code(RUN_CODES, keyring.macs, row, good=new.good)


async def insert_request(session: AsyncSession, row: dict[str, Any]) -> None:
    """Insert the row that `seal_request` made, and a message that has an engine start the run."""
    values = {name: value for name, value in row.items() if name != "wants"}
    await session.execute(insert(RUNS).values(values))
    await subscribe(session, row, row["wants"])
    await arm_timeout(session, row["id"], row["timeout_seconds"])
    await enqueue(session, OutboxKind.START, row["id"])
    count_request(session, row)


def _seconds(timeout: str | None) -> float | None:
    return None if timeout is None else parse(timeout).timedelta.total_seconds()
