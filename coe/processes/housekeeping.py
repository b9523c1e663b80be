"""What keeps runs and tables going in the background; any number of processes may do it.

Dispatch, timers, schedules, reaper and reminders claim their rows (`coe.execution.loops`). One
process at a time cleans up: two that delete many rows could wait for each other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Final

from coe.catalog.search.following import index_of
from coe.db.locks import Alone, is_alone
from coe.events.retention import delete_expired_events
from coe.execution.engine import Engine
from coe.execution.loops import Loops
from coe.idempotency import forget_expired
from coe.identity import workers
from coe.identity.sign_in import forget_spent
from coe.identity.signin import sessions
from coe.identity.teams.endings import DISPATCH, end_what_is_over
from coe.installation.measures import measure_database
from coe.processes.background import Loop
from coe.rate_limits import forget_empty
from coe.work import Platform

CLEAN_UP_SECONDS: Final = 600.0
ENDINGS_SECONDS: Final = 20.0


class Housekeeping:
    """The loops of one process over one platform."""

    def __init__(self, platform: Platform, engine: Engine | None) -> None:
        self._platform = platform
        self._engine = engine

    def loops(self) -> Mapping[str, Loop]:
        """Each loop by its name."""
        return {
            "runs": self._carry_on_runs,
            "clean-up": self._clean_up,
            "ends of memberships": self._end_memberships,
            "measures": partial(measure_database, self._platform),
        }

    async def _carry_on_runs(self) -> None:
        """Dispatch to the engine, fire timers, reap expired leases; nothing without an engine."""
        if self._engine is None:
            await asyncio.Event().wait()
            return
        loops = Loops(self._platform, self._engine)
        try:
            await loops.start()
            await asyncio.Event().wait()
        finally:
            await loops.close()

    async def _end_memberships(self) -> None:
        """Record the ends of memberships and grants; they count no more since then.

        Whoever holds the lock of the policy records them, and the others find none.
        """
        while True:
            async with self._platform.work(DISPATCH) as work:
                await end_what_is_over(work)
            await asyncio.sleep(ENDINGS_SECONDS)

    async def _clean_up(self) -> None:
        while True:
            await clean_up_once(self._platform)
            await asyncio.sleep(CLEAN_UP_SECONDS)


async def clean_up_once(platform: Platform) -> bool:
    """Delete what has expired: keys of idempotency, events, sessions, changes of entries.

    Returns:
        False if another process does.
    """
    async with platform.database.session() as session:
        if not await is_alone(session, Alone.CLEAN_UP):
            return False
        await forget_expired(session, platform.clock())
        await forget_empty(session, platform.clock())
        await delete_expired_events(session, platform.clock())
        await sessions.forget_expired(session, platform.clock())
        await forget_spent(session, platform.clock())
        await workers.forget_expired(session, platform.clock())
        await index_of(platform).old.forget(session)
        await session.commit()
    return True
