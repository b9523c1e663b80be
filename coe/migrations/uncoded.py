"""Give codes to rows without one, and codes of the newest key to those of an older one.

Whoever has the keys vouches for the rows without one. A row whose code does not fit keeps it.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, Table, bindparam, select
from sqlmodel import SQLModel

from coe.catalog.owners import CARD_CODES, OWNER_CODES
from coe.crypto.mac import MacKeys
from coe.crypto.row_codes import CodedRows
from coe.runs.row_codes import APPROVAL_CODES, EVENT_CODES, RUN_CODES, TASK_CODES

CODED: Final = (RUN_CODES, TASK_CODES, APPROVAL_CODES, EVENT_CODES, OWNER_CODES, CARD_CODES)
_AT_ONCE: Final = 1000
_START: Final = UUID(int=0)

NewCode = Callable[[MacKeys, CodedRows, Mapping[str, Any]], bytes | None]
"""The code that a row gets; None to leave it as it is."""


def code_rows(connection: Connection, keys: MacKeys) -> int:
    """Give a code to each row that has none.

    Returns:
        How many they are.
    """
    number = 0
    for codes in CODED:
        last: UUID | None = _START
        while last is not None:
            last, given = code_page(connection, keys, codes, last, first_code)
            number += given
    return number


def first_code(keys: MacKeys, codes: CodedRows, row: Mapping[str, Any]) -> bytes | None:
    """The code of a row that has none."""
    return codes.code(keys, row) if row["code"] is None else None


def newest_code(keys: MacKeys, codes: CodedRows, row: Mapping[str, Any]) -> bytes | None:
    """The code by the newest key, of a row whose code is of an older one."""
    newest = codes.code(keys, row)
    if row["code"] is None or hmac.compare_digest(row["code"], newest):
        return None
    return newest if codes.verifies(keys, row["code"], row) else None


def code_page(
    connection: Connection, keys: MacKeys, codes: CodedRows, after: UUID, new_code: NewCode
) -> tuple[UUID | None, int]:
    """Give codes to a page of the rows of a table, in the order of their ids.

    A row that somebody else changes meanwhile keeps the code that it got there.

    Args:
        connection: The connection, in a transaction.
        keys: The keys.
        codes: The table.
        after: The last id of the page before.
        new_code: The code that a row gets.

    Returns:
        The last id of the page, None if it is the last page; and how many rows got a code.
    """
    table: Table = SQLModel.metadata.tables[codes.table]
    page = select(*(table.c[name] for name in codes.columns), table.c.code)
    if new_code is first_code:
        page = page.where(table.c.code.is_(None))
    page = page.where(table.c.id > after).order_by(table.c.id).limit(_AT_ONCE)
    rows = [
        {str(name): value for name, value in row.items()}
        for row in connection.execute(page).mappings()
    ]
    given = [
        {"row_id": row["id"], "before": row["code"], "made": made}
        for row in rows
        if (made := new_code(keys, codes, row)) is not None
    ]
    if given:
        unchanged = table.c.code.is_not_distinct_from(bindparam("before", type_=table.c.code.type))
        connection.execute(
            table.update()
            .where(table.c.id == bindparam("row_id"), unchanged)
            .values(code=bindparam("made")),
            given,
        )
    return rows[-1]["id"] if len(rows) == _AT_ONCE else None, len(given)
