"""Give a code to the rows that an earlier release wrote, when the database gets codes.

Whoever upgrades vouches for them, as for the events that wait for their seal
(`coe.audit.unsigned`). A row whose code does not fit keeps it.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, Table, bindparam, inspect, select
from sqlmodel import SQLModel

from coe.catalog.owners import CARD_CODES, OWNER_CODES
from coe.crypto.mac import MacKeys
from coe.crypto.row_codes import CodedRows
from coe.runs.row_codes import APPROVAL_CODES, EVENT_CODES, RUN_CODES, TASK_CODES

CODED: Final = (RUN_CODES, TASK_CODES, APPROVAL_CODES, EVENT_CODES, OWNER_CODES, CARD_CODES)
_AT_ONCE: Final = 1000
_FIRST: Final = RUN_CODES.table


def has_row_codes(connection: Connection) -> bool:
    """Whether the rows of this database have a column for codes."""
    found = inspect(connection)
    return found.has_table(_FIRST) and any(
        column["name"] == "code" for column in found.get_columns(_FIRST)
    )


def code_rows(connection: Connection, keys: MacKeys) -> int:
    """Give a code to each row that has none.

    Returns:
        How many they are.
    """
    return sum(_code_table(connection, keys, codes) for codes in CODED)


def _code_table(connection: Connection, keys: MacKeys, codes: CodedRows) -> int:
    table: Table = SQLModel.metadata.tables[codes.table]
    columns = [table.c[name] for name in codes.columns]
    uncoded = select(*columns).where(table.c.code.is_(None)).limit(_AT_ONCE)
    change = table.update().where(table.c.id == bindparam("row_id")).values(code=bindparam("made"))
    number = 0
    while rows := connection.execute(uncoded).mappings().all():
        given = [
            {"row_id": row["id"], "made": codes.code(keys, {str(k): v for k, v in row.items()})}
            for row in rows
        ]
        connection.execute(change, given)
        number += len(rows)
    return number
