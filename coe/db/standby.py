"""Reads from a standby: of what may be read there, as soon as it has all that was committed.

A read asks the primary how far its log is, and the standby whether it has replayed so much. So a
read from the standby sees every commit that was answered before it began, whoever made it and in
whichever process: nobody misses what they have just written. If that takes too long, the primary
answers; a standby that is too far behind, or away, is left alone for a while.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from typing import Any, Final, Self

from sqlalchemy.exc import SQLAlchemyError

from coe.db import Database, DirectConnections, why_unreachable
from coe.settings.database import DatabaseSettings

FAILURES: Final = (SQLAlchemyError, OSError)
"""What a read raises if the standby is away, or has ended it."""
LEFT_ALONE_SECONDS: Final = 5.0
"""How long a standby is not asked after it was away or too far behind."""
_PAUSES: Final = (0.002, 0.005, 0.01, 0.02)
"""Before the standby is asked again, in seconds; the last one repeats."""
_FLUSHED: Final = """
    SELECT pg_current_wal_flush_lsn()::text AS position,
           (SELECT system_identifier FROM pg_control_system()) AS system,
           ('x' || left(pg_walfile_name(pg_current_wal_flush_lsn()), 8))::bit(32)::int AS timeline
"""
# A standby of a former primary stays on its timeline; one that follows is known to be on the new
# one after its next restart point.
_REPLAYED: Final = """
    SELECT pg_is_in_recovery() AS stands_by,
           (SELECT system_identifier FROM pg_control_system()) AS system,
           (SELECT timeline_id FROM pg_control_checkpoint()) AS timeline,
           pg_last_wal_replay_lsn() >= CAST($1::text AS pg_lsn) AS replayed
"""
_log = logging.getLogger(__name__)


class Standby:
    """A standby of one database, read from only while it has all that the primary has."""

    def __init__(
        self, database: Database, primary: DirectConnections, *, max_lag_seconds: float
    ) -> None:
        """`primary` reads from the primary; a read waits for at most `max_lag_seconds`."""
        self.database = database
        self.reader = database.readers()
        self.max_lag_seconds = max_lag_seconds
        self._primary = primary
        self._left_until = -math.inf
        self._why: str | None = None

    @classmethod
    def of(cls, settings: DatabaseSettings, primary: DirectConnections) -> Self | None:
        """The standby of the settings, or None; nothing connects yet."""
        database = Database.standing_by(settings, name="coe-standby", pool_size=10)
        if database is None:
            return None
        return cls(database, primary, max_lag_seconds=settings.replica_max_lag_seconds)

    async def has_all(self) -> bool:
        """Whether it has replayed what is committed now; waits a little for it."""
        if time.monotonic() < self._left_until:
            return False
        primary: Any = (await self._primary.read(_FLUSHED))[0]
        try:
            async with asyncio.timeout(self.max_lag_seconds):
                return await self._replays(primary)
        except TimeoutError:
            self._leave(f"it is more than {self.max_lag_seconds:g} seconds behind")
        except FAILURES as error:
            self.leave(error)
        return False

    async def _replays(self, primary: Any) -> bool:
        asked = 0
        while True:
            row: Any = (await self.reader.read(_REPLAYED, primary["position"]))[0]
            if not row["stands_by"]:
                self._leave("it is no standby: look at COE_DATABASE_REPLICA_URL")
                return False
            if (row["system"], row["timeline"]) != (primary["system"], primary["timeline"]):
                self._leave("it follows another primary")
                return False
            if row["replayed"]:
                self._return()
                return True
            await asyncio.sleep(_PAUSES[min(asked, len(_PAUSES) - 1)])
            asked += 1

    def leave(self, error: BaseException) -> None:
        """Leave it alone for a while, as a statement has failed there."""
        self._leave(f"a read failed there ({why_unreachable(error)})")

    def _leave(self, why: str) -> None:
        self._left_until = time.monotonic() + LEFT_ALONE_SECONDS
        if why != self._why:
            _log.warning("the standby is not read from: %s; the primary answers", why)
        self._why = why

    def _return(self) -> None:
        if self._why is not None:
            _log.info("the standby is read from again")
        self._why = None

    async def close(self) -> None:
        """Close its connections."""
        await self.database.close()
