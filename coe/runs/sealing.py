"""How the data of runs is sealed: the key of the team that owns the flow, bound to its place."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import orjson
from sqlalchemy import Table

from coe.crypto.envelope import Place
from coe.crypto.keys import Keyring
from coe.db import JSON

PURPOSE: Final = "runs"


@dataclass(frozen=True, slots=True)
class Sealer:
    """Seals and opens JSON values of one team's runs.

    A value sealed for one table, row and column does not open anywhere else. `row` is an id, for
    an entry of a journal "<run id>:<position>".
    """

    keyring: Keyring
    team: str

    async def seal(self, table: Table, row: UUID | str, column: str, value: JSON) -> bytes:
        """Seal a value for its place."""
        return await self.keyring.seal(self._place(table, row, column), PURPOSE, _encode(value))

    async def maybe(self, table: Table, row: UUID | str, column: str, value: JSON) -> bytes | None:
        """Seal a value, but keep none as none."""
        return None if value is None else await self.seal(table, row, column, value)

    async def open(self, table: Table, row: UUID | str, column: str, sealed: bytes | None) -> Any:
        """Open what `seal` made; none for none.

        Raises:
            CoeError: It was changed, or belongs to another place.
        """
        if sealed is None:
            return None
        return await self.keyring.open_json(self._place(table, row, column), PURPOSE, sealed)

    def _place(self, table: Table, row: UUID | str, column: str) -> Place:
        return Place(table=table.name, row=str(row), column=column, team=self.team)


def _encode(value: JSON) -> bytes:
    """JSON text, also of what the other side should not have sent: it must not stop the run."""
    try:
        return orjson.dumps(value)
    except TypeError:  # an integer beyond 64 bits, or half of a surrogate pair
        return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")


def error_columns(error: dict[str, JSON] | None) -> dict[str, Any]:
    """The columns of an error that are in clear: type, status and instance, never what it says."""
    error = error or {}
    status = error.get("status")
    return {
        "error_type": error.get("type"),
        "error_status": int(status) if isinstance(status, int | float) else None,
        "error_instance": error.get("instance"),
    }
