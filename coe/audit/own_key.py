"""Whether keys of codes are those of this database: some of its newest events have their codes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from sqlalchemy import Connection, text

from coe.audit.admission import CODED, code_fits
from coe.crypto.mac import MacKeys
from coe.secret_files import SecretFileRefused

_READABLE: Final = "BETWEEN '1970-01-02' AND '9999-01-01'"
_WITH_CODE: Final = (
    f"SELECT {', '.join(CODED)}, mac FROM audit_events"  # noqa: S608  # names of our columns
    f" WHERE mac IS NOT NULL AND at {_READABLE} AND written_at {_READABLE}"
)
NEWEST_CODES: Final = f"""
    ({_WITH_CODE} AND position IS NOT NULL ORDER BY position DESC LIMIT 8)
    UNION ALL
    ({_WITH_CODE} AND position IS NULL AND refused IS NULL ORDER BY id DESC LIMIT 8)
"""
"""The newest events of the log, which the sealer has admitted, and the newest ones that wait."""


def wrote_some(keys: MacKeys, rows: Iterable[Mapping[str, Any]]) -> bool:
    """Whether these keys made the code of one of the rows, or there is none.

    One that does not fit says nothing: else whoever can write a row would stop every start.
    """
    checked = [code_fits(keys, row["mac"], row) for row in rows]
    return any(checked) or not checked


def require_own_key(connection: Connection, keys: MacKeys) -> None:
    """Require that the keys are those of this database, before they make codes of its rows.

    Raises:
        SecretFileRefused: They are of another installation, or the file cannot be used.
    """
    rows = connection.execute(text(NEWEST_CODES)).mappings().all()
    if not wrote_some(keys, [{str(name): row[name] for name in row} for row in rows]):
        raise SecretFileRefused(
            f"{keys.path} has other keys than those of the codes of events in the database: it is "
            "of another installation, or was made anew; name the file of this one in "
            "COE_MAC_KEY_FILE. Nothing was changed"
        )
