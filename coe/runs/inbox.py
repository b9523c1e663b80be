"""The inbox of a run: facts from outside the run, until its holder moves them into the journal.

Answers of tasks, ends of children and cancellations are written here, in the transaction of the
verb. The same transaction enqueues a wake-up and notifies the holder, if there is one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from coe.crypto.keys import Keyring
from coe.db import Database, DirectConnections, new_id
from coe.json_types import JSON
from coe.machine.facts import Fact, FactKind
from coe.outbox import OutboxKind, enqueue
from coe.runs.event_payload import open_events
from coe.runs.models import ENDED
from coe.runs.sealing import TeamSealer
from coe.runs.tables import INBOX, RUNS

CHANNEL: Final = "coe_runs"


@dataclass(frozen=True, slots=True)
class Arrived:
    """A fact from the inbox, with the id of its row."""

    id: UUID
    fact: Fact


async def send(
    session: AsyncSession,
    keyring: Keyring,
    run_id: UUID,
    fact: Fact,
    *,
    dedupe: str | None = None,
) -> bool:
    """Put a fact into the inbox of a run and wake the run; false if the run has ended.

    Facts with the same `dedupe` (by default kind and key) are kept once.
    """
    sent = await tell(session, keyring, run_id, fact, dedupe=dedupe)
    if sent:
        await enqueue(session, OutboxKind.WAKE, run_id)
    return sent


async def tell(
    session: AsyncSession,
    keyring: Keyring,
    run_id: UUID,
    fact: Fact,
    *,
    dedupe: str | None = None,
) -> bool:
    """Put a fact into the inbox of a run, and do not wake the run: its holder, if any, sees it.

    False if the run has ended.
    """
    found = (
        await session.execute(select(RUNS.c.team, RUNS.c.state).where(RUNS.c.id == run_id))
    ).one_or_none()
    if found is None or found.state in ENDED:
        return False
    await _insert(session, TeamSealer(keyring, found.team), run_id, fact, dedupe)
    await notify(session, run_id)
    return True


async def _insert(
    session: AsyncSession,
    sealer: TeamSealer,
    run_id: UUID,
    fact: Fact,
    dedupe: str | None,
) -> None:
    row_id = new_id()
    row = {
        "id": row_id,
        "run_id": run_id,
        "dedupe": f"{fact.kind}:{fact.key}" if dedupe is None else dedupe,
        "kind": fact.kind.value,
        "key": fact.key,
        "at": fact.at,
        "payload_sealed": await sealer.seal(INBOX, row_id, "payload", fact.data),
    }
    await session.execute(insert(INBOX).values(row).on_conflict_do_nothing())


async def notify(session: AsyncSession, run_id: UUID) -> None:
    """Notify every listening process, at the commit, that the run has something new."""
    await session.execute(
        text("SELECT pg_notify(:channel, :run)"),
        {"channel": CHANNEL, "run": str(run_id)},
    )


TAKE: Final = """
SELECT id, kind, key, at, payload_sealed, event_id
FROM run_inbox WHERE run_id = $1 ORDER BY arrival
"""
"""The inbox rows of a run, by its id."""


async def take(
    direct: DirectConnections, database: Database, keyring: Keyring, run_id: UUID, team: str
) -> list[Arrived]:
    """Read the inbox in order. The append that journals the facts deletes the rows."""
    sealer = TeamSealer(keyring, team)
    rows = await direct.fetch(TAKE, run_id)
    named = [row["event_id"] for row in rows if row["event_id"] is not None]
    events = await _events(database, keyring, named) if named else {}
    arrived: list[Arrived] = []
    for row in rows:
        data: JSON
        if row["event_id"] is None:
            data = await sealer.open(INBOX, row["id"], "payload", row["payload_sealed"])
        else:
            data = {"event": events[row["event_id"]]}
        arrived.append(Arrived(row["id"], Fact(FactKind(row["kind"]), row["at"], row["key"], data)))
    return arrived


async def _events(database: Database, keyring: Keyring, ids: list[UUID]) -> Mapping[UUID, JSON]:
    async with database.session() as session:
        return await open_events(session, keyring, ids)
