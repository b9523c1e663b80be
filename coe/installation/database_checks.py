"""How the database's connections are: the limits of transactions, and the standby that is read."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from coe.db import Database, why_unreachable
from coe.installation.checks import Check, Health
from coe.json_types import JSON
from coe.settings import Settings

PAGE: Final = "docs/operations/postgresql.md"
_LIMITS: Final = text("SELECT name FROM pg_settings WHERE name = ANY(:names) AND setting = '0'")
_LIMITING: Final = ("idle_in_transaction_session_timeout", "transaction_timeout")
_FLUSHED: Final = text("SELECT pg_current_wal_flush_lsn()::text")
_STANDBY: Final = text("""
    SELECT pg_is_in_recovery() AS stands_by,
           greatest(CAST(CAST(:position AS text) AS pg_lsn) - pg_last_wal_replay_lsn(), 0)::bigint
             AS bytes,
           extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())
             ::double precision AS seconds
""")
_WAITING: Final = text("""
    SELECT count(*) AS sessions,
           coalesce(extract(epoch FROM clock_timestamp() - min(state_change)), 0)::double precision
             AS seconds
    FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event = 'SyncRep'
      AND state_change < clock_timestamp() - interval '5 seconds'
""")
BACKUP_PAGE: Final = "docs/operations/backup.md#the-log-of-writes"


async def commits_check(session: AsyncSession) -> Check:
    """Whether commits hang as no synchronous standby confirms them."""
    row: Any = (await session.execute(_WAITING)).one()
    return commits_told(row.sessions, row.seconds)


def commits_told(sessions: int, seconds: float) -> Check:
    """What so many sessions say that wait for a standby, the longest for so many seconds."""
    data: dict[str, JSON] = {"waiting": sessions, "seconds": round(seconds, 1)}
    if sessions:
        detail = (
            f"{sessions} sessions wait for a synchronous standby (SyncRep), the longest for"
            f" {seconds:.0f} s: is the receiver of the log of writes away?"
        )
        return Check("commits", Health.PROBLEM, detail, BACKUP_PAGE, data)
    return Check("commits", Health.OK, "none waits for a standby", data=data)


async def limits_check(session: AsyncSession, settings: Settings) -> Check:  # noqa: ARG001  # as other looks
    """Whether the server ends transactions that stay open, for the role that goes by a pooler."""
    missing = list(await session.scalars(_LIMITS, {"names": list(_LIMITING)}))
    data: dict[str, JSON] = {"missing": list(missing)}
    if missing:
        detail = f"behind the pooler nothing ends an open transaction: {', '.join(missing)} is 0"
        return Check("pooler", Health.WARNING, detail, f"{PAGE}#open-transactions", data)
    return Check("pooler", Health.OK, "open transactions are ended by the server", data=data)


async def standby_check(session: AsyncSession, settings: Settings) -> Check:
    """How far behind the standby is from which reads are done."""
    position = await session.scalar(_FLUSHED)
    standby = Database.standing_by(settings, name="coe-status", pool_size=1)
    if standby is None:
        return Check("standby", Health.OK, "none is read from")
    try:
        async with standby.session() as other:
            row: Any = (await other.execute(_STANDBY, {"position": position})).one()
    except (SQLAlchemyError, OSError) as error:
        detail = f"does not answer ({why_unreachable(error)}): the primary is read"
        return Check("standby", Health.WARNING, detail, "is COE_DATABASE_REPLICA_URL right?")
    finally:
        await standby.close()
    if not row.stands_by:
        detail = "COE_DATABASE_REPLICA_URL names no standby: the primary is read"
        return Check("standby", Health.WARNING, detail, f"{PAGE}#reads-from-a-standby")
    data: dict[str, JSON] = {"bytes": row.bytes, "seconds": row.seconds}
    if row.bytes == 0:
        return Check("standby", Health.OK, "has replayed everything", data=data)
    behind = f"{row.bytes:,} bytes behind; its last transaction is {row.seconds or 0:.0f} s old"
    return Check("standby", Health.OK, behind, data=data)
