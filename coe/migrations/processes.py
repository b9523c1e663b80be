"""The processes that are connected to a database, and the revision that each knows.

Each process names it where PostgreSQL shows its connections, as in `coe-api/0031`. It shows that of
the sessions of other roles only to a role with pg_read_all_stats: a hidden one counts as that of a
process that knows nothing, for it may be one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, text

PROGRAM: Final = re.compile(r"(coe[a-z-]*)(?:/(\d{4}))?")
_SESSIONS: Final = text("""
    SELECT application_name, backend_type IS NULL AS hidden, usename AS role,
           min(pid) AS pid, count(*) AS sessions
    FROM pg_stat_activity
    WHERE datname = current_database() AND usename IS NOT NULL AND pid <> pg_backend_pid()
      AND coalesce(backend_type, 'client backend') = 'client backend'
    GROUP BY 1, 2, 3 ORDER BY 1, 3
""")
_OLDEST: Final = text("""
    SELECT application_name, pid, state,
      round(extract(epoch FROM clock_timestamp() - xact_start)) AS seconds
    FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL
    ORDER BY xact_start LIMIT 3
""")


@dataclass(frozen=True, slots=True)
class Process:
    """Connections of the same program and version.

    Attributes:
        program: Its name.
        knows: The newest revision that it knows; 0000 if it does not say.
        pid: The process id of one of its sessions in PostgreSQL.
        sessions: How many it has.
    """

    program: str
    knows: str
    pid: int
    sessions: int

    def __str__(self) -> str:
        return f"{self.program}, which knows {self.knows} (pid {self.pid})"


def connected(connection: Connection) -> list[Process]:
    """The processes of the platform that are connected, but for those that migrate.

    Sessions that the role of the connection may not look at are among them.
    """
    found = []
    for row in connection.execute(_SESSIONS):
        if row.hidden:
            program = f"a session of role {row.role}, hidden without pg_read_all_stats"
            found.append(Process(program, "0000", row.pid, row.sessions))
            continue
        named = PROGRAM.fullmatch(row.application_name or "")
        if named and named[1] != "coe-migrate":
            found.append(Process(named[1], named[2] or "0000", row.pid, row.sessions))
    return found


def oldest_transactions(connection: Connection) -> str:
    """The sessions whose transactions are open the longest, for people."""
    found = [
        f"{row.application_name or 'a session without name'} (pid {row.pid}, {row.state}, "
        f"{row.seconds} s)"
        for row in connection.execute(_OLDEST)
    ]
    return ", ".join(found) or "none"
