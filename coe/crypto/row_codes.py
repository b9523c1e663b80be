"""Codes over the rows by which access is decided: whoever can write the database makes none.

A message authentication code (`coe.crypto.mac`) covers the columns of a row that decide, and stands
beside them in its column `code`. A row whose code does not fit is refused where it would count.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from coe.crypto.mac import MacKeys, MacPurpose
from coe.errors import Conflict

NO_CODE: Final = b""
"""The code of a row that was made of one whose code does not fit."""
_log = logging.getLogger(__name__)


class ChangedInDatabase(Conflict):
    """A row is not what the platform wrote: somebody changed it in the database."""


@dataclass(frozen=True, slots=True)
class CodedRows:
    """The rows of a table, and which of their columns are under the code."""

    table: str
    columns: tuple[str, ...]

    def code(self, macs: MacKeys, values: Mapping[str, Any]) -> bytes:
        """The code of a row with these values."""
        return macs.code(MacPurpose.ROW, *self._parts(values))

    def fits(self, macs: MacKeys, row: Any, **named: Any) -> bool:
        """Whether the platform wrote this row; `named` are columns that it has by another name."""
        values = {name: named.get(name, getattr(row, name, None)) for name in self.columns}
        return self.verifies(macs, row.code, values)

    def verifies(self, macs: MacKeys, code: bytes | None, values: Mapping[str, Any]) -> bool:
        """Whether any of the keys made this code for a row with these values."""
        return macs.verify(MacPurpose.ROW, code, *self._parts(values))

    def good(self, macs: MacKeys, row: Any) -> bool | None:
        """Whether the platform wrote this row; None if it has no code, as of an earlier release.

        What is made of it gets a good code, none that fits, or none until somebody vouches.
        """
        return None if row.code is None else self.fits(macs, row)

    def require(self, macs: MacKeys, row: Any, **named: Any) -> None:
        """Require that the platform wrote this row.

        Raises:
            ChangedInDatabase: It did not, or somebody changed it since.
        """
        if self.fits(macs, row, **named):
            return
        key = str(named.get("id", getattr(row, "id", None)))
        _log.error("a row was changed in the database", extra={"table": self.table, "row": key})
        raise ChangedInDatabase(
            f"the row {key} of {self.table} is not what the platform wrote: somebody changed it in "
            "the database, or an earlier release wrote it; tell the operator"
        )

    def _parts(self, values: Mapping[str, Any]) -> tuple[bytes, ...]:
        kept = [_plain(values[name]) for name in self.columns]
        return self.table.encode(), orjson.dumps(kept, option=orjson.OPT_SORT_KEYS)


def _plain(value: Any) -> Any:
    match value:
        case datetime():
            return value.astimezone(UTC)
        case list() | tuple() | set() | frozenset():
            return sorted(value)
        case None | int() | dict():
            return value
    return str(value)
