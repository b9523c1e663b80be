"""The sealer of the audit log in a process, and the watch over the sealing, whoever seals."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Self

from sqlalchemy.exc import SQLAlchemyError

from coe.audit.sealer import LogSealer
from coe.audit.watch import SealingWatch
from coe.db import Database
from coe.governance.audit_log import open_sealer
from coe.installation.status import Check, Health
from coe.processes.readiness import WATCH, sealing_check
from coe.work import Platform

WATCH_SECONDS: Final = 5.0


@dataclass(slots=True)
class Sealing:
    """One sealer, with its connections as the role of the database that seals.

    Several may run: the one with the lease seals, and the others stand by.
    """

    database: Database
    sealer: LogSealer
    watch: SealingWatch

    @classmethod
    def open(cls, platform: Platform) -> Self:
        """Create the parts; nothing connects yet."""
        settings = platform.settings
        database = Database.sealing(settings, name="coe-sealer", pool_size=2)
        watch = SealingWatch(settings.seal_alarm_seconds)
        return cls(database, open_sealer(platform, database), watch)

    async def watch_for_ever(self) -> None:
        """Raise the alarm when the audit log is not sealed in time, also by another process."""
        while True:
            async with self.database.session() as session:
                await self.watch.look(session)
            await asyncio.sleep(WATCH_SECONDS)

    def check(self, *, own: bool) -> Check:
        """Whether events are sealed in time; `own` if this process has to see to it."""
        return sealing_check(self.watch, own=own)

    def sealer_check(self) -> Check:
        """Whether the sealer seals or stands by."""
        if self.sealer.problem is not None:
            detail = "the audit log is not being sealed: the log records of this process say why"
            return Check("sealer", Health.PROBLEM, detail, WATCH, {"active": False})
        match self.sealer.active:
            case None:
                return Check("sealer", Health.PROBLEM, "has not looked at the log yet", WATCH)
            case True:
                return Check("sealer", Health.OK, "seals", data={"active": True})
            case False:
                return Check("sealer", Health.OK, "stands by", data={"active": False})

    async def close(self) -> None:
        """Give up the lease, so that another process seals at once, and disconnect."""
        with suppress(SQLAlchemyError, OSError):
            await self.sealer.close()
        await self.database.close()
