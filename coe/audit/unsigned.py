"""Give a code to the events that wait for their seal when the database gets codes."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, func, select, text

from coe.audit.admission import CODED, code_of
from coe.audit.records import AUDIT_EVENTS
from coe.crypto.mac import MacKeys

_SIGN: Final = text("""
    UPDATE audit_events SET written_at = :written_at, stored_at = :written_at, mac = :mac
    WHERE id = :id AND position IS NULL
""")
_HAS_CODES: Final = text("""
    SELECT EXISTS (SELECT 1 FROM pg_attribute
                   WHERE attrelid = to_regclass('audit_events') AND attname = 'mac')
""")
_TRIGGER: Final = "ALTER TABLE audit_events {} TRIGGER audit_events_refuse_update"


def has_codes(connection: Connection) -> bool:
    """Whether the log of this database has a column for codes."""
    return bool(connection.scalar(_HAS_CODES))


def sign_waiting(connection: Connection, keys: MacKeys) -> int:
    """Give a code to each event that waits, in the transaction of the upgrade to have codes.

    Whoever upgrades vouches for the few events that an earlier release wrote and did not seal.

    Returns:
        How many they are.
    """
    columns = [AUDIT_EVENTS.c[name] for name in CODED if name != "written_at"]
    waiting = AUDIT_EVENTS.c.position.is_(None), AUDIT_EVENTS.c.mac.is_(None)
    statement = select(*columns, func.clock_timestamp().label("written_at")).where(*waiting)
    rows = connection.execute(statement).mappings().all()
    if rows:
        connection.execute(text(_TRIGGER.format("DISABLE")))
        connection.execute(
            _SIGN,
            [
                {
                    "id": row["id"],
                    "written_at": row["written_at"],
                    "mac": code_of(keys, {str(name): value for name, value in row.items()}),
                }
                for row in rows
            ],
        )
        connection.execute(text(_TRIGGER.format("ENABLE")))
    return len(rows)
