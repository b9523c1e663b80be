"""Advisory locks until the end of a transaction, by which only one process does something."""

from __future__ import annotations

from enum import IntEnum

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession


class Alone(IntEnum):
    """What one process does at a time; the others leave it to that one."""

    CLEAN_UP = 0x_C0E_C1EA_0001
    TIDY = 0x_C0E_C1EA_0002


async def is_alone(session: AsyncSession, what: Alone) -> bool:
    """Whether this transaction is now the only one that does it; false at once if it is not."""
    return bool(await session.scalar(select(func.pg_try_advisory_xact_lock(int(what)))))
