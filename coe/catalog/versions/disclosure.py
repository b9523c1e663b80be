"""Open the sealed columns of versions, and note who reads those of confidential entries.

`coe.work` records what was noted before the reader's session or transaction is over, so that no
door can forget it: one event a team and session, or a request with `Platform.readings`.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Row

from coe.audit.readings import Reading
from coe.catalog.tables import VERSIONS
from coe.catalog.versions.sealing import unseal
from coe.json_types import JSON
from coe.work import Read

IDENTITY: Final = tuple(
    VERSIONS.c[name]
    for name in ("id", "kind", "namespace", "name", "version", "team", "data_class")
)
"""The columns of a version that `disclose` and `note_reading` need."""


async def disclose(
    read: Read, row: Row[*tuple[Any, ...]], *columns: str, handed_out: bool = True
) -> list[JSON]:
    """Open sealed columns of a version for the actor, who may read it; the reading is noted.

    Args:
        read: The context of the reader.
        row: Has the columns `IDENTITY` and the sealed ones.
        columns: The names of the sealed columns.
        handed_out: False if the actor gets only what the platform concludes from the contents,
            such as the next version number; nothing is noted then.

    Raises:
        DoesNotOpen: A column was changed or moved, or its key is missing.
    """
    if handed_out:
        note_reading(read, row)
    sealed = [(column, row._mapping[column]) for column in columns]  # noqa: SLF001  # public, despite its name
    return [await unseal(read.keyring, row.id, row.team, column, value) for column, value in sealed]


def note_reading(read: Read, row: Row[*tuple[Any, ...]]) -> None:
    """Note that the actor reads a version, of which the row has the columns `IDENTITY`."""
    ref = f"{row.namespace}/{row.name}@{row.version}"
    read.readings.note(Reading(row.team, ref, row.kind, row.data_class))
