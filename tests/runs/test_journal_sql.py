"""The statement of an append, in each of its forms, does what its parts say and no more."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import insert, select, update

from coe.db import new_id, utcnow
from coe.machine.commands import StepState
from coe.runs.journal import Append, End, Journal, Taking
from coe.runs.journal_sql import Part
from coe.runs.models import RunState, TimerKind
from coe.runs.tables import INBOX, JOURNAL, RUNS, STEPS, TIMERS
from coe.work import Platform
from tests.factories.runs import HTTP, central, publish, start

FORMS = [Part(number) for number in range(16)]


@pytest.fixture
async def journal(platform: Platform) -> AsyncIterator[Journal]:
    await publish(platform, central("simple", HTTP.format(name="credit")))
    opened = Journal(platform.database)
    yield opened
    await opened.close()


def _entry(position: int) -> dict[str, Any]:
    row = {"position": position, "kind": "RUN_STARTED", "key": "", "at": utcnow()}
    return row | {"payload_sealed": b"x"}


def _step() -> dict[str, Any]:
    now = utcnow()
    nothing = (
        "iteration",
        "ended_at",
        "error_type",
        "error_status",
        "error_instance",
        "error_title",
    )
    return {
        "id": new_id(),
        "key": "k",
        "place": 1,
        "path": "/do/0/x",
        "name": "x",
        "kind": "http",
        "state": StepState.RUNNING,
        "attempt": 1,
        "started_at": now,
        "changed_at": now,
        "parent_key": None,
        "phase": "WORK",
        "waited_seconds": 0.0,
        "held_seconds": 0.0,
        "waits": '{"TIMER": 1.5}',
        "error_sealed": None,
        "unmatched": 0,
        "unmatched_at": None,
        **dict.fromkeys(nothing),
    }


def _event() -> dict[str, Any]:
    texts = ("actor", "actor_kind", "action", "resource", "team", "outcome", "correlation_id")
    written = {"written_at": utcnow(), "mac": b"x"}
    return {"id": new_id(), "at": utcnow(), **written, **dict.fromkeys(texts, "x")}


async def _append(platform: Platform, parts: Part) -> tuple[Append, Any]:
    """An append of these parts that fits its run, and the run before it."""
    run = await start(platform, "sales/simple")
    takes = Part.TAKES in parts
    now = utcnow()
    values: dict[str, Any] = {"fence": 5, "error_type": "about:x", "error_sealed": b"e"}
    if not takes:
        values |= {"holder": "old", "state": "RUNNING", "lease_until": now, "started_at": now}
        values |= {"journal_length": 3, "steps_told": 2}
    arrived = [new_id(), new_id()]
    inbox = {"run_id": run.id, "kind": "X", "key": "", "at": now, "payload_sealed": b"s"}
    timer = {"id": new_id(), "run_id": run.id, "kind": TimerKind.MACHINE, "key": "k", "due_at": now}
    async with platform.database.session() as session:
        await session.execute(update(RUNS).where(RUNS.c.id == run.id).values(**values))
        for each in arrived:
            await session.execute(insert(INBOX).values(id=each, dedupe=str(each), **inbox))
        await session.execute(insert(TIMERS).values(timer))
        await session.commit()
    position = 0 if takes else 3
    append = Append(run.id, 6 if takes else 5, position, [_entry(position)])
    append.taking = Taking("new", 60.0) if takes else None
    if Part.PROJECTS in parts:
        append.projected, append.steps = position + 1, [_step()]
    append.consumed = arrived[:1] if Part.CONSUMES in parts else []
    if Part.ENDS in parts:
        end = {
            "state": RunState.COMPLETED,
            "ended_at": now,
            "output_sealed": b"out",
            "waits": '{"TIMER": 1.5}',
            "held_seconds": 0.5,
        }
        append.end = End(end, _event())
    assert append.parts == parts
    return append, await _run(platform, run.id)


async def _run(platform: Platform, run_id: UUID) -> Any:
    async with platform.database.session() as session:
        return (await session.execute(select(RUNS).where(RUNS.c.id == run_id))).one()


async def _rows(platform: Platform, run_id: UUID) -> dict[str, int]:
    counts = {}
    async with platform.database.session() as session:
        for table in (JOURNAL, STEPS, INBOX, TIMERS):
            found = await session.execute(select(table.c.run_id).where(table.c.run_id == run_id))
            counts[table.name] = len(found.all())
    return counts


async def _check(platform: Platform, append: Append, before: Any) -> None:
    takes, ends = Part.TAKES in append.parts, Part.ENDS in append.parts
    run = await _run(platform, append.run_id)
    assert (run.state, run.ended_at is not None) == (("RUNNING", "COMPLETED")[ends], ends)
    assert run.holder == (None if ends else "new" if takes else "old")
    assert (run.fence, run.journal_length) == (append.fence, append.position + 1)
    assert run.steps_told == (before.steps_told if append.projected is None else append.projected)
    assert run.error_sealed == (None if ends else b"e")
    assert run.output_sealed == (b"out" if ends else None)
    assert (run.waits, run.held_seconds) == (({"TIMER": 1.5}, 0.5) if ends else (None, None))
    if ends:
        assert run.lease_until is None
    elif takes:
        assert run.lease_until > utcnow() + timedelta(seconds=50)
    else:
        assert run.lease_until == before.lease_until
    assert run.started_at is not None
    if not takes:
        assert run.started_at == before.started_at
    assert await _rows(platform, append.run_id) == {
        "journal_entries": 1,
        "run_steps": int(Part.PROJECTS in append.parts),
        "run_inbox": 0 if ends else 2 - len(append.consumed),
        "timers": int(not ends),
    }


@pytest.mark.parametrize("parts", FORMS, ids=str)
@pytest.mark.parametrize("way", ["_write_plain", "_write_other"])
async def test_each_form_does_what_its_parts_say(
    platform: Platform, journal: Journal, parts: Part, way: str
) -> None:
    append, before = await _append(platform, parts)
    assert await getattr(journal, way)([append]) == {1}
    await _check(platform, append, before)
    assert await getattr(journal, way)([append]) == set(), "it was written twice"


async def test_a_group_may_have_appends_of_every_form(platform: Platform, journal: Journal) -> None:
    group = [await _append(platform, parts) for parts in FORMS]
    kept = await journal._write_plain([append for append, _ in group])
    assert kept == set(range(1, len(FORMS) + 1))
    for append, before in group:
        await _check(platform, append, before)


@pytest.mark.parametrize(
    "other",
    [
        {"local": True},
        {"state": "CANCELLED"},
        {"holder": "somebody", "lease_until": utcnow() + timedelta(hours=1)},
        {"holder": "somebody", "lease_until": None},
        {"fence": 6},
        {"journal_length": 1},
    ],
    ids=",".join,
)
async def test_what_is_not_free_is_not_taken(
    platform: Platform, journal: Journal, other: dict[str, Any]
) -> None:
    append, _ = await _append(platform, Part.TAKES)
    async with platform.database.session() as session:
        await session.execute(update(RUNS).where(RUNS.c.id == append.run_id).values(**other))
        await session.commit()
    assert await journal._write_plain([append]) == set()
    assert (await _rows(platform, append.run_id))["journal_entries"] == 0
