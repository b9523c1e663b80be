"""The sealed columns of a version and of its reviews, all JSON: content, schemas, notes, tests."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any
from uuid import UUID

from coe.catalog.models import EntryVersion, VersionApproval
from coe.crypto.envelope import Cell
from coe.crypto.keys import Keyring
from coe.errors import Problem, Severity
from coe.json_types import JSON
from coe.language.source import Source, read

CATALOG_PURPOSE = "catalog"
_TABLE = EntryVersion.__tablename__


async def seal(keyring: Keyring, version: EntryVersion, column: str, value: JSON) -> bytes:
    """Seal a value for a column of the version."""
    return await keyring.seal_json(_cell(version.id, version.team, column), CATALOG_PURPOSE, value)


async def seal_text(
    keyring: Keyring, version: EntryVersion, column: str, text: str | None
) -> bytes | None:
    """Seal a text for a column of the version; None for none, or an empty one."""
    return await seal(keyring, version, column, text) if text else None


async def seal_comment(keyring: Keyring, review: VersionApproval, team: str, text: str) -> bytes:
    """Seal the comment of a review; `team` is that of the version."""
    return await keyring.seal_json(_comment_cell(review.id, team), CATALOG_PURPOSE, text)


async def unseal_comment(keyring: Keyring, ident: UUID, team: str, sealed: bytes) -> str:
    """Open the comment of the review with this id.

    Raises:
        DoesNotOpen: It was changed or moved, or its key is missing.
    """
    return str(await keyring.open_json(_comment_cell(ident, team), CATALOG_PURPOSE, sealed))


async def unseal(keyring: Keyring, ident: UUID, team: str, column: str, sealed: bytes) -> JSON:
    """Open a column of the version with this id and team.

    Raises:
        DoesNotOpen: It was changed or moved, or its key is missing.
    """
    return await keyring.open_json(_cell(ident, team, column), CATALOG_PURPOSE, sealed)


def opened_file(files: JSON, name: str) -> Source:
    """A file of a template among its opened files, which map paths to texts."""
    texts = files if isinstance(files, dict) else {}
    return read(str(texts.get(name, "")), file=name)


def problems_to_json(problems: tuple[Problem, ...]) -> JSON:
    """Problems as JSON."""
    return [dict(asdict(problem)) for problem in problems]


def problems_from_json(value: JSON) -> tuple[Problem, ...]:
    """Problems from their JSON."""
    found: list[Any] = value if isinstance(value, list) else []
    return tuple(Problem(**{**each, "severity": Severity(each["severity"])}) for each in found)


def _cell(ident: UUID, team: str, column: str) -> Cell:
    return Cell(table=_TABLE, row=str(ident), column=column, team=team)


def _comment_cell(ident: UUID, team: str) -> Cell:
    table = VersionApproval.__tablename__
    return Cell(table=table, row=str(ident), column="comment_sealed", team=team)
