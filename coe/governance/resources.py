"""Find the thing that a resource name of the audit log means: its team, class and relations."""

from __future__ import annotations

from dataclasses import dataclass, replace
from uuid import UUID

from sqlalchemy import or_, select

from coe.access.actor import Actor, DataClass
from coe.access.models import AccessToken
from coe.access.policy import Policy
from coe.access.policy_lines import Relation
from coe.catalog import queries as catalog
from coe.catalog.models import EntryKind
from coe.catalog.scope import author_relation
from coe.errors import Invalid, NotFound, Problem
from coe.formats import uuids
from coe.identifiers import PLATFORM_TEAM
from coe.runs.tables import RUNS, TASKS
from coe.runs.visibility import (
    held,
    owned,
    readable_runs,
    readable_tasks,
    relation_columns,
    run_relations,
    task_relations,
)
from coe.work import Read

_KINDS = {
    "decision": EntryKind.DECISION,
    "flow": EntryKind.FLOW,
    "system": EntryKind.SYSTEM,
    "template": EntryKind.TEMPLATE,
}


@dataclass(frozen=True, slots=True)
class Resource:
    """The facts about a thing on which the policy decides, as seen by one subject."""

    name: str
    team: str
    data_class: DataClass = DataClass.INTERNAL
    relations: frozenset[str] = frozenset()


async def find_resource(read: Read, name: str, subject: str) -> Resource:
    """Find the thing that a name such as `flow:sales/order-to-cash` or `run:<uuid>` stands for.

    Args:
        read: The asker, who must be able to read the thing.
        name: The name as it stands in the log.
        subject: The subject whose relations to the thing are wanted.

    Raises:
        NotFound: The thing does not exist, or the asker may not read it.
        Invalid: The name is not a resource name.
    """
    kind, _, key = name.partition(":")
    if kind in _KINDS:
        return await _entry(read, name, _KINDS[kind], key, subject)
    match kind:
        case "run":
            return await _run(read, name, _uuid(key), subject)
        case "human_task":
            return await _task(read, name, _uuid(key), subject)
        case "token":
            return await _token(read, name, _uuid(key), subject)
        case "team" if key:
            return Resource(name, key)
        case "audit":
            return Resource(name, PLATFORM_TEAM)
    message = (
        "a resource is flow:…, template:…, decision:…, system:… with a ref, run:…, human_task:… "
        "or token:… with a UUID, team:… with a slug, or audit:log"
    )
    raise Invalid([Problem("INPUT_RESOURCE", message, path="/resource")])


def team_of_subject(policy: Policy, subject: str) -> str:
    """The team that answers for a person or a service: its first, else the platform's."""
    return min(policy.teams(subject), default=PLATFORM_TEAM)


def _uuid(key: str) -> UUID:
    try:
        return uuids.read(key)
    except ValueError:
        raise NotFound from None


def _relation(relation: Relation, *, holds: bool) -> frozenset[str]:
    return frozenset({relation.value}) if holds else frozenset()


async def _entry(read: Read, name: str, kind: EntryKind, ref: str, subject: str) -> Resource:
    row = await catalog.find_entry(read, ref, kind)
    if row is None:
        raise NotFound
    relations = set(_relation(Relation.OWNER, holds=subject in {row.process_owner, row.deputy}))
    if "@" in ref:
        version = await catalog.find_version(read, ref, kind)
        if version is None:
            raise NotFound
        relations |= author_relation(Actor.of(subject), version)
        relations |= _relation(Relation.PUBLISHER, holds=version.published_by == subject)
    return Resource(name, row.team, row.data_class, frozenset(relations))


async def _run(read: Read, name: str, key: UUID, subject: str) -> Resource:
    theirs = replace(read, actor=Actor.of(subject))
    found = await read.session.execute(
        select(
            RUNS.c.team,
            RUNS.c.data_class,
            RUNS.c.requester,
            RUNS.c.requester_persons,
            owned(theirs),
            held(theirs),
        ).where(RUNS.c.id == key, readable_runs(read)),
    )
    row = found.one_or_none()
    if row is None:
        raise NotFound
    return Resource(name, row.team, DataClass(row.data_class), run_relations(theirs, row))


async def _task(read: Read, name: str, key: UUID, subject: str) -> Resource:
    """A task; whoever may read its run, such as an auditor, may ask who may do what with it."""
    runs = select(RUNS.c.id).where(readable_runs(read))
    theirs = replace(read, actor=Actor.of(subject))
    found = await read.session.execute(
        select(TASKS, *relation_columns(theirs)).where(
            TASKS.c.id == key,
            or_(readable_tasks(read), TASKS.c.run_id.in_(runs)),
        ),
    )
    row = found.one_or_none()
    if row is None:
        raise NotFound
    return Resource(name, row.team, DataClass(row.data_class), task_relations(theirs, row))


async def _token(read: Read, name: str, key: UUID, subject: str) -> Resource:
    row = await read.session.get(AccessToken, key)
    if row is None:
        raise NotFound
    team = row.team or team_of_subject(read.policy, row.subject)
    return Resource(name, team, relations=_relation(Relation.SELF, holds=row.subject == subject))
