"""Record who reads the definitions of confidential entries: how a process with such data works."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import select

from coe.access.actor import DataClass
from coe.access.permissions import Permission
from coe.audit.events import Tag
from coe.catalog.records import VERSION_COLUMNS, VersionRecord
from coe.catalog.scope import readable_versions
from coe.catalog.tables import VERSIONS
from coe.work import Read, Work

RECORDED: Final = (DataClass.CONFIDENTIAL, DataClass.PERSONAL)
"""The data classes of which each reading of a definition is recorded."""


async def confidential_among(read: Read, version_ids: Sequence[UUID]) -> list[VersionRecord]:
    """Those of the versions that the actor may read and whose readings are recorded."""
    query = select(*VERSION_COLUMNS).where(
        VERSIONS.c.id.in_(version_ids),
        VERSIONS.c.data_class.in_(RECORDED),
        readable_versions(read),
    )
    rows = (await read.session.execute(query)).all()
    return [VERSION_COLUMNS.record(row) for row in rows]


async def record_reading(work: Work, versions: Sequence[VersionRecord]) -> None:
    """Record that the actor reads the definitions of these versions, which it may read.

    There is one event for each team: with the version as its resource if it is one, else with the
    team. The detail names all.
    """
    by_team: defaultdict[str, list[VersionRecord]] = defaultdict(list)
    for version in versions:
        by_team[version.team].append(version)
    for team, read in sorted(by_team.items()):
        first = read[0]
        one = f"{first.kind.lower()}:{first.ref}"
        await work.record(
            Tag.CATALOG_DEFINITION_READ_DATA,
            resource=one if len(read) == 1 else f"team:{team}",
            team=team,
            decision=work.decide(Permission.ENTRY_READ, team=team, data_class=first.data_class),
            detail={"versions": [*sorted(each.ref for each in read)]},
        )
