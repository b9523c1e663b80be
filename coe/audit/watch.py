"""Watch the sealing: how many rows wait, for how long, which are refused, and what holds it up."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from coe.audit.horizon import HorizonHolder, horizon_holder

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


@dataclass(slots=True)
class SealingWatch:
    """The alarm of one process: a log record when sealing falls behind, and when rows are refused.

    Each is logged when it begins, and again when it is over. `blocker` is the oldest transaction
    that writes into this database, while the alarm lasts.
    """

    late_seconds: float
    state: SealingState | None = None
    blocker: HorizonHolder | None = None
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
        holder = self.blocker = await horizon_holder(session) if late else None
        if late and not self._late:
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
