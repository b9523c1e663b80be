"""Watch the sealing: how many rows wait, for how long, which are refused, and what holds it up."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

MAX_COUNTED: Final = 10_000
"""The most rows that are counted; there may be more."""
_LOG: Final = logging.getLogger(__name__)

_STATE: Final = text("""
    WITH waiting AS (
      SELECT least(coalesce(stored_at, at), coalesce(written_at, at)) AS since
      FROM audit_events WHERE position IS NULL AND refused IS NULL
      ORDER BY xid, id LIMIT :most),
    refused AS (
      SELECT 1 FROM audit_events AS row WHERE refused IS NOT NULL AND position IS NULL
        AND NOT EXISTS (
          SELECT 1 FROM audit_events AS settlement
          WHERE settlement.resource = 'audit:row:' || row.id
            AND settlement.action = 'audit:log:settle' AND settlement.outcome = 'ALLOWED'
            AND settlement.position IS NOT NULL)
      LIMIT :most)
    SELECT count(*) AS waiting,
           least(greatest(extract(epoch FROM clock_timestamp() - min(since)), 0), 1e9)
             ::double precision AS seconds,
           (SELECT count(*) FROM refused) AS refused
    FROM waiting
""")
# Everybody may see who holds a transaction id; its age only those with pg_read_all_stats.
_HOLDER: Final = text("""
    WITH oldest AS (SELECT pg_snapshot_xmin(pg_current_snapshot())::xid AS xid)
    SELECT lock.pid, coalesce(prepared.database, session.datname) AS database,
           coalesce(prepared.owner, session.usename) AS role,
           coalesce('prepared transaction ' || prepared.gid, session.application_name) AS program,
           extract(epoch FROM clock_timestamp() - coalesce(prepared.prepared, session.xact_start))
             ::double precision AS seconds
    FROM oldest
    LEFT JOIN pg_prepared_xacts AS prepared ON prepared.transaction = oldest.xid
    LEFT JOIN pg_locks AS lock ON lock.locktype = 'transactionid' AND lock.granted
      AND lock.mode = 'ExclusiveLock' AND lock.transactionid = oldest.xid
    LEFT JOIN pg_stat_activity AS session ON session.pid = lock.pid
    WHERE lock.pid IS NOT NULL OR prepared.gid IS NOT NULL
    LIMIT 1
""")


@dataclass(frozen=True, slots=True)
class HorizonHolder:
    """The oldest transaction that writes, anywhere on the server: nothing after it is sealed.

    `pid` is None for a prepared transaction. `seconds` is its age, None if the role of the database
    may not see it (`pg_read_all_stats`).
    """

    pid: int | None
    database: str | None
    role: str | None
    program: str | None
    seconds: float | None

    def __str__(self) -> str:
        """The holder for people."""
        who = f"process {self.pid}" if self.pid is not None else str(self.program)
        age = "" if self.seconds is None else f", for {self.seconds:.0f} seconds"
        program = f", {self.program}" if self.program and self.pid is not None else ""
        return f"{who} of PostgreSQL (database {self.database}, role {self.role}{program}){age}"


@dataclass(frozen=True, slots=True)
class SealingState:
    """Rows that wait to be sealed, since how many seconds the oldest does, and refused rows.

    Those that somebody has settled (`coe.audit.refused`) do not count.

    At most `MAX_COUNTED` of each are counted.
    """

    waiting: int
    seconds: float
    refused: int


async def sealing_state(session: AsyncSession) -> SealingState:
    """The rows that wait, and those that are refused."""
    row = (await session.execute(_STATE, {"most": MAX_COUNTED})).one()
    return SealingState(row.waiting, row.seconds or 0.0, row.refused)


async def horizon_holder(session: AsyncSession) -> HorizonHolder | None:
    """The oldest transaction that writes; None if there is none."""
    row: Any = (await session.execute(_HOLDER)).one_or_none()
    if row is None:
        return None
    return HorizonHolder(row.pid, row.database, row.role, row.program, row.seconds)


@dataclass(slots=True)
class SealingWatch:
    """The alarm of one process: a log record when sealing falls behind, and when rows are refused.

    Each is logged when it begins, and again when it is over.
    """

    late_seconds: float
    state: SealingState | None = None
    _late: bool = False
    _refused: int = 0

    @property
    def ok(self) -> bool:
        """Whether nothing waited too long, and nothing is refused, when that was last looked at."""
        return self.state is not None and not self._late and not self.state.refused

    async def look(self, session: AsyncSession) -> SealingState:
        """Look at the log, and raise the alarm if it is time."""
        state = self.state = await sealing_state(session)
        late = state.seconds > self.late_seconds
        if late and not self._late:
            holder = await horizon_holder(session)
            _LOG.error(
                "events of the audit log have waited for their seal for %.0f seconds (%d wait)%s",
                state.seconds,
                state.waiting,
                f"; the oldest writing transaction is that of {holder}" if holder else "",
            )
        if self._late and not late:
            _LOG.warning("the audit log is being sealed again")
        if state.refused > self._refused:
            _LOG.error(
                "%d rows of the audit log are refused: look at them with `coe audit refused`",
                state.refused,
            )
        self._late, self._refused = late, state.refused
        return state
