"""The limits of a transaction, where one that only reads may take longer."""

from __future__ import annotations

from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

# Earlier versions lack the first one. A client that takes nothing for ten minutes has gone.
_LONG: Final = text("""
    SELECT set_config(name,
             CASE name WHEN 'idle_in_transaction_session_timeout' THEN '10min' ELSE '0' END, true)
    FROM pg_settings
    WHERE name IN (
      'transaction_timeout', 'statement_timeout', 'idle_in_transaction_session_timeout')
""")


async def allow_long_reading(session: AsyncSession) -> None:
    """Let the transaction of a session that only reads take as long as it needs."""
    await session.execute(_LONG)
