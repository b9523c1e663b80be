"""Which processes of an installation are there, as the database sees them."""

from __future__ import annotations

from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

NAMES: Final = ("coe-api", "coe-gateway", "coe-loops", "coe-sealer", "coe-central")
"""The names under which processes connect, before the newest revision that they know."""
_CONNECTED: Final = text("""
    SELECT split_part(application_name, '/', 1) AS name, count(*) AS connections,
           count(DISTINCT client_addr) AS addresses
    FROM pg_stat_activity
    WHERE datname = current_database() AND split_part(application_name, '/', 1) = ANY(:names)
    GROUP BY 1 ORDER BY 1
""")


async def connected_processes(session: AsyncSession) -> dict[str, tuple[int, int]]:
    """The connections, and the addresses that they come from, by the name without `coe-`.

    Sessions of another role have no name for a role without `pg_read_all_stats`: the sealer's are
    then not among them.
    """
    rows = await session.execute(_CONNECTED, {"names": list(NAMES)})
    return {row.name.removeprefix("coe-"): (row.connections, row.addresses) for row in rows}
