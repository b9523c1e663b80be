"""The sealed columns of a version, all JSON: definition or files, schemas, problems."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any
from uuid import UUID

from coe.catalog.models import EntryVersion
from coe.crypto.envelope import Cell
from coe.crypto.keys import Keyring
from coe.errors import Problem, Severity
from coe.json_types import JSON

CATALOG_PURPOSE = "catalog"
_TABLE = EntryVersion.__tablename__


async def seal(keyring: Keyring, version: EntryVersion, column: str, value: JSON) -> bytes:
    """Seal a value for a column of the version."""
    return await keyring.seal_json(_cell(version.id, version.team, column), CATALOG_PURPOSE, value)


async def unseal(keyring: Keyring, ident: UUID, team: str, column: str, sealed: bytes) -> JSON:
    """Open a column of the version with this id and team.

    Raises:
        DoesNotOpen: It was changed or moved, or its key is missing.
    """
    return await keyring.open_json(_cell(ident, team, column), CATALOG_PURPOSE, sealed)


def problems_to_json(problems: tuple[Problem, ...]) -> JSON:
    """Problems as JSON."""
    return [dict(asdict(problem)) for problem in problems]


def problems_from_json(value: JSON) -> tuple[Problem, ...]:
    """Problems from their JSON."""
    found: list[Any] = value if isinstance(value, list) else []
    return tuple(Problem(**{**each, "severity": Severity(each["severity"])}) for each in found)


def _cell(ident: UUID, team: str, column: str) -> Cell:
    return Cell(table=_TABLE, row=str(ident), column=column, team=team)
