"""The horizon of the log: no transaction that still runs can add an event before it.

Events are sealed in the order of their transactions. So one waits while an older transaction is
open that may still write an event. The oldest one of the whole server would be a safe bound, and a
bad one: a session of another database that writes and rests would stop the log. A transaction
writes only into the database of its session, which never changes, so those of other databases are
left out.

What is read in which order makes it safe:

1. A snapshot S of the transactions that run. All others below its end have ended, and their events
   are visible to every later statement.
2. The sessions of other databases.
3. Who holds which transaction id. Whoever holds an id of S here has held it since before S, thus
   was there in step 2 under the same process id, which nobody else can have had in between: if it
   was of another database then, so is the transaction. One that ended meanwhile is not found, and
   counts as one of this database. Prepared transactions name their database themselves.

The horizon is the oldest id of S that remains, or the end of S. Only ids of S are left out, so a
transaction that begins later cannot be below it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

_SHORT: Final = 2**32
"""pg_locks has transaction ids of 32 bits; those that run at once differ in them."""

# Statistics are kept for a transaction once they were read: step 2 has to be later than step 1.
_RUNNING: Final = text("""
    SELECT pg_snapshot_xmax(s)::text::bigint AS after,
           ARRAY(SELECT x::text::bigint FROM pg_snapshot_xip(s) AS x) AS running,
           pg_stat_clear_snapshot()::text AS cleared
    FROM (SELECT pg_current_snapshot() AS s) AS now
""")
_ELSEWHERE: Final = text("""
    SELECT pid FROM pg_stat_activity
    WHERE datid <> (SELECT oid FROM pg_database WHERE datname = current_database())
""")
_HELD_ELSEWHERE: Final = text("""
    SELECT transactionid::text::bigint AS xid FROM pg_locks
    WHERE locktype = 'transactionid' AND granted AND mode = 'ExclusiveLock'
      AND pid = ANY(CAST(:pids AS integer[]))
    UNION ALL
    SELECT transaction::text::bigint FROM pg_prepared_xacts WHERE database <> current_database()
""")
# Everybody may see who holds a transaction id; its state and age only those with
# pg_read_all_stats, and those of the same role.
_HOLDER: Final = text("""
    SELECT lock.pid, coalesce(prepared.database, session.datname) AS database,
           coalesce(prepared.owner, session.usename) AS role,
           coalesce('prepared transaction ' || prepared.gid, session.application_name) AS program,
           CASE WHEN prepared.gid IS NULL THEN session.state ELSE 'prepared' END AS state,
           extract(epoch FROM clock_timestamp() - coalesce(prepared.prepared, session.xact_start))
             ::double precision AS seconds
    FROM (SELECT CAST(CAST(:xid AS text) AS xid) AS xid) AS oldest
    LEFT JOIN pg_prepared_xacts AS prepared ON prepared.transaction = oldest.xid
    LEFT JOIN pg_locks AS lock ON lock.locktype = 'transactionid' AND lock.granted
      AND lock.mode = 'ExclusiveLock' AND lock.transactionid = oldest.xid
    LEFT JOIN pg_stat_activity AS session ON session.pid = lock.pid
    WHERE lock.pid IS NOT NULL OR prepared.gid IS NOT NULL
    LIMIT 1
""")


@dataclass(frozen=True, slots=True)
class Horizon:
    """Below `xid` every transaction of this database has ended.

    `blocked` is whether a transaction has this id and runs: nothing after it is sealed. One after
    which no other has ended blocks nothing yet.
    """

    xid: int
    blocked: bool


@dataclass(frozen=True, slots=True)
class HorizonHolder:
    """The oldest transaction of this database that writes: nothing after it is sealed.

    `pid` is None for a prepared transaction. `state` and `seconds`, its age, are None if the role
    of the database may not see them (`pg_read_all_stats`).
    """

    xid: int
    pid: int | None
    database: str | None
    role: str | None
    program: str | None
    state: str | None
    seconds: float | None

    def __str__(self) -> str:
        """The holder for people."""
        who = f"process {self.pid}" if self.pid is not None else str(self.program)
        age = "" if self.seconds is None else f", for {self.seconds:.0f} seconds"
        parts = [self.program, self.state] if self.pid is not None else []
        about = "".join(f", {each}" for each in parts if each)
        return f"{who} of PostgreSQL (database {self.database}, role {self.role}{about}){age}"


async def horizon(session: AsyncSession) -> Horizon:
    """The horizon of now; what is read after this sees all that is below it."""
    now = (await session.execute(_RUNNING)).one()
    running: set[int] = set(now.running)
    if running:
        pids = list(await session.scalars(_ELSEWHERE))
        elsewhere = set(await session.scalars(_HELD_ELSEWHERE, {"pids": pids}))
        running = {xid for xid in running if xid % _SHORT not in elsewhere}
    return Horizon(min(running), blocked=True) if running else Horizon(now.after, blocked=False)


async def horizon_holder(session: AsyncSession) -> HorizonHolder | None:
    """The oldest transaction of this database that writes; None if nothing is after it."""
    found = await horizon(session)
    if not found.blocked:
        return None
    row: Any = (await session.execute(_HOLDER, {"xid": str(found.xid % _SHORT)})).one_or_none()
    if row is None:
        return None
    return HorizonHolder(
        found.xid, row.pid, row.database, row.role, row.program, row.state, row.seconds
    )
