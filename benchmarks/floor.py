"""The floor: nothing but an asyncio journal with group commit over asyncpg.

One writer drains a queue, writes what it found in one transaction, and wakes who waited. A step is
one row; a run is its steps. There is no definition, no lease, no projection and no sealing.

The second argument says how a group is written: `transaction`, as one writes it down (begin, an
insert a step, commit), or `statement`, as tight as it goes: one insert of arrays for the group,
which is one round trip. Nobody who keeps a journal in PostgreSQL can do less than that.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import uuid
from collections import deque
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, Final

import asyncpg
import contender

TABLE: Final = """
CREATE TABLE IF NOT EXISTS floor_journal (
    run_id uuid, position bigint, at timestamptz NOT NULL, payload bytea NOT NULL,
    PRIMARY KEY (run_id, position)
)
"""
INSERT: Final = """
INSERT INTO floor_journal (run_id, position, at, payload) VALUES ($1, $2, $3, $4)
"""
APPEND: Final = """
INSERT INTO floor_journal (run_id, position, at, payload)
SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::timestamptz[], $4::bytea[])
"""
MOST: Final = 64

Entry = tuple[uuid.UUID, int, datetime, bytes]


class Floor:
    """A bare journal."""

    def __init__(self, connection: asyncpg.Connection[Any], form: str) -> None:
        self._connection = connection
        self._write = {"transaction": self._inserts, "statement": self._insert}[form]
        self._queue: deque[tuple[Entry, asyncio.Future[None]]] = deque()
        self._writer: asyncio.Task[None] | None = None
        self.versions = {"asyncpg": version("asyncpg"), "python": sys.version.split()[0]}

    async def prepare(self, runs: int, steps: int) -> None:
        """Nothing."""

    async def run(self, steps: int) -> None:
        """Journal the steps, one after the other."""
        run_id, loop = uuid.uuid4(), asyncio.get_running_loop()
        for position in range(steps):
            payload = json.dumps({"output": {"step": position}}).encode()
            written: asyncio.Future[None] = loop.create_future()
            self._queue.append(((run_id, position, datetime.now(UTC), payload), written))
            if self._writer is None or self._writer.done():
                self._writer = asyncio.create_task(self._drain())
            await written

    async def _drain(self) -> None:
        while self._queue:
            group = [self._queue.popleft() for _ in range(min(len(self._queue), MOST))]
            await self._write([entry for entry, _ in group])
            for _, written in group:
                written.set_result(None)

    async def _inserts(self, entries: list[Entry]) -> None:
        async with self._connection.transaction():
            for entry in entries:
                await self._connection.execute(INSERT, *entry)

    async def _insert(self, entries: list[Entry]) -> None:
        columns = [list(column) for column in zip(*entries, strict=True)]
        await self._connection.execute(APPEND, *columns)


@contextlib.asynccontextmanager
async def opened() -> AsyncIterator[Floor]:
    """The floor over the database that the first argument names."""
    connection = await asyncpg.connect(sys.argv[1])
    await connection.execute(TABLE)
    yield Floor(connection, sys.argv[2])
    await connection.close()


if __name__ == "__main__":
    contender.main(opened)
