"""Seal the data of runs with the key of the team that owns the flow, bound to its place."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import orjson
from sqlalchemy import Table

from coe.crypto.envelope import Cell
from coe.crypto.keys import Keyring
from coe.json_types import JSON
from coe.runs.error_reasons import public_title

PURPOSE: Final = "runs"
UNTYPED: Final = "about:blank"
"""RFC 7807: the type of an error that names none."""

_STATUSES: Final = 1000
_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[A-Za-z0-9/:@.#_~-]{1,200}")
_POINTER: Final = re.compile(r"(?:/[A-Za-z0-9_.~-]{1,100}){1,50}")


@dataclass(frozen=True, slots=True)
class TeamSealer:
    """Seals and opens JSON values of the runs of one team.

    A value sealed for one table, row and column opens only there. `row` is an id, for
    an entry of a journal "<run id>:<position>".
    """

    keyring: Keyring
    team: str

    async def seal(self, table: Table, row: UUID | str, column: str, value: JSON) -> bytes:
        """Seal a value for its place."""
        return await self.keyring.seal(self._place(table, row, column), PURPOSE, _encode(value))

    async def maybe(self, table: Table, row: UUID | str, column: str, value: JSON) -> bytes | None:
        """Seal a value; None stays None."""
        return None if value is None else await self.seal(table, row, column, value)

    async def open(self, table: Table, row: UUID | str, column: str, sealed: bytes | None) -> Any:
        """Open a sealed value; None stays None.

        Raises:
            CoeError: It was changed, or belongs to another place.
        """
        if sealed is None:
            return None
        return await self.keyring.open_json(self._place(table, row, column), PURPOSE, sealed)

    def _place(self, table: Table, row: UUID | str, column: str) -> Cell:
        return Cell(table=table.name, row=str(row), column=column, team=self.team)


def _encode(value: JSON) -> bytes:
    """JSON text, also of values that no system should have sent: they must not stop a run."""
    try:
        return orjson.dumps(value)
    except TypeError:  # an integer beyond 64 bits, or half of a surrogate pair
        return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")


def error_columns(error: dict[str, JSON] | None) -> dict[str, Any]:
    """The columns of an error that are not sealed: type, status, instance, and our own titles.

    Definitions and teams write types and instances: one that is no URI, or no JSON pointer, is left
    out here, for it may hold personal data, and so is a title that is not the platform's. The
    sealed error is complete.
    """
    if error is None:
        return dict.fromkeys(("error_type", "error_status", "error_instance", "error_title"))
    kind, status, instance = (error.get(name) for name in ("type", "status", "instance"))
    return {
        "error_type": kind if isinstance(kind, str) and _URI.fullmatch(kind) else UNTYPED,
        "error_status": status if isinstance(status, int) and 0 <= status < _STATUSES else 500,
        "error_instance": instance
        if isinstance(instance, str) and _POINTER.fullmatch(instance)
        else None,
        "error_title": public_title(error.get("title")),
    }
