"""Who may read the data of a run: for people who may read the run, but not its data."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import select

from coe.access.actor import DataClass
from coe.access.explain import who_may
from coe.access.permissions import Permission
from coe.access.policy_lines import Relation
from coe.catalog.tables import ENTRIES, VERSIONS
from coe.runs.tables import RUNS
from coe.runs.visibility import readable_runs
from coe.work import Read


@dataclass(frozen=True, slots=True)
class DataReaderRecord:
    """A person who may read the data of a run, and the role or relation that allows it."""

    subject: str
    via: str


async def readers_of_runs(
    read: Read, ids: Collection[UUID]
) -> dict[UUID, tuple[DataReaderRecord, ...]]:
    """For each run that may be read the people who may read its data, by the policy in force.

    Left out where the actor may not know who works in the team.
    """
    rows = await read.session.execute(
        select(
            RUNS.c.id,
            RUNS.c.team,
            RUNS.c.data_class,
            RUNS.c.requester,
            ENTRIES.c.process_owner,
            ENTRIES.c.deputy,
        )
        .select_from(
            RUNS.join(VERSIONS, VERSIONS.c.id == RUNS.c.version_id).join(
                ENTRIES, ENTRIES.c.id == VERSIONS.c.entry_id
            )
        )
        .where(RUNS.c.id.in_(ids), readable_runs(read)),
    )
    return {row.id: _readers(read, row) for row in rows if _may_know_people(read, row.team)}


def _may_know_people(read: Read, team: str) -> bool:
    known = read.decide(Permission.ENTRY_READ, team=team, data_class=DataClass.INTERNAL)
    return known.allowed


def _readers(read: Read, run: Any) -> tuple[DataReaderRecord, ...]:
    relations: dict[str, set[str]] = {}
    for subject, relation in (
        (run.process_owner, Relation.OWNER),
        (run.deputy, Relation.OWNER),
        (run.requester, Relation.REQUESTER),
    ):
        if subject is not None:
            relations.setdefault(subject, set()).add(relation.value)
    found = who_may(
        read.policy,
        Permission.RUN_READ_DATA,
        team=run.team,
        data_class=DataClass(run.data_class),
        relations=relations,
    )
    return tuple(DataReaderRecord(subject, via) for subject, via in found)
