"""When tokens were used last, and from where: noted beside the requests, not in them.

A request never waits for a write. The first use of a token in a minute is noted in memory, and a
task of this process writes what was noted. A process that dies loses the notes of a moment.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import or_, update
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import col

from coe.access.models import AccessToken
from coe.db import Database

NOTED_EVERY: Final = timedelta(minutes=1)
MAX_NOTED: Final = 10_000
"""How many tokens are noted at once at most; what is beyond is noted at a later use."""
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class TokenUses:
    """Notes the uses of tokens, and writes them in a task of its own."""

    database: Database
    _noted: dict[UUID, tuple[datetime, str | None]] = field(default_factory=dict)
    _task: asyncio.Task[None] | None = None

    def note(
        self, token_id: UUID, *, at: datetime, address: str | None, last: datetime | None
    ) -> None:
        """Note a use, unless one is noted that is less than a minute older; it does not wait.

        Args:
            token_id: The token.
            at: The time of the use.
            address: The client's address.
            last: The last use that is in the database.
        """
        if last is not None and at - last < NOTED_EVERY:
            return
        if token_id in self._noted or len(self._noted) >= MAX_NOTED:
            return
        self._noted[token_id] = (at, address)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._write(), name="token-uses")

    async def settle(self) -> None:
        """Wait until what was noted is written."""
        if self._task is not None:
            await self._task

    async def _write(self) -> None:
        while self._noted:
            noted = dict(self._noted)
            try:
                await self._save(noted)
            except (SQLAlchemyError, OSError) as error:
                _log.warning("the uses of tokens are not noted: %s", type(error).__name__)
            for token_id in noted:
                self._noted.pop(token_id, None)

    async def _save(self, noted: dict[UUID, tuple[datetime, str | None]]) -> None:
        last = col(AccessToken.last_used_at)
        async with self.database.session() as session:
            for token_id, (at, address) in sorted(noted.items()):
                await session.execute(
                    update(AccessToken)
                    .where(
                        col(AccessToken.id) == token_id,
                        or_(last.is_(None), last <= at - NOTED_EVERY),
                    )
                    .values(last_used_at=at, last_address=address)
                    .execution_options(synchronize_session=False)
                )
            await session.commit()
