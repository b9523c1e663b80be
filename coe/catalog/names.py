"""The names of an installation, which documents refer to: people, roles, teams, systems and others.

A name that the actor may not know of has the same answer as one that does not exist, and is never
suggested, at every door: people, roles and teams are those of teams that the actor may read, and
systems those that it may read. Which channels and secrets a team may use is told to who may write
or publish in that team; everybody else hears the same of each name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Sequence
from typing import Final

from sqlalchemy import ColumnElement, or_, select, tuple_
from sqlmodel import col

from coe import content
from coe.access.actor import DataClass
from coe.access.files import read_roles
from coe.access.models import Team, TeamState
from coe.access.permissions import Permission
from coe.catalog.models import EntryKind
from coe.catalog.scope import readable_entries
from coe.catalog.tables import ENTRIES
from coe.channels import Channels
from coe.crypto.operator_files import OperatorFileError
from coe.errors import Invalid, Problem
from coe.language.names.directory import KnownNames, Names, name_problems
from coe.language.names.references import NameKind, Reference
from coe.language.source import Source
from coe.language.suggestions import did_you_mean
from coe.secrets import SecretStore
from coe.work import Read

WRITING: Final = (
    Permission.DECISION_PUBLISH,
    Permission.DECISION_REGISTER,
    Permission.DECISION_SUBMIT,
    Permission.FLOW_PUBLISH,
    Permission.FLOW_REGISTER,
    Permission.FLOW_SUBMIT,
    Permission.TEMPLATE_INSTANTIATE,
    Permission.TEMPLATE_PUBLISH,
    Permission.TEMPLATE_REGISTER,
    Permission.TEMPLATE_SUBMIT,
)
"""The permissions by which a document of a team is saved, submitted or published."""
MAX_SUGGESTED: Final = 500
_NO_FILE: Final = "this installation has no file of them here"
_NOT_TOLD: Final = "only those who write for the team may know"


async def known_names(read: Read, references: Iterable[Reference], team: str) -> KnownNames:
    """What is known here of these names, in a document of the team."""
    wanted = list(references)
    writes = any(read.decide(permission, team=team).allowed for permission in WRITING)
    people, held = _people(read)
    teams = frozenset(await read.session.scalars(select(col(Team.slug))))
    roles = _names({role for _, role in held})
    found = {
        NameKind.PERSON: _names(people),
        NameKind.ROLE: roles,
        NameKind.TEAM: _names(_readable(read, teams)),
        NameKind.SYSTEM: await _systems(read, wanted),
    }
    missing = dict.fromkeys((NameKind.CHANNEL, NameKind.SECRET), _NO_FILE if writes else _NOT_TOLD)
    kinds = {reference.kind for reference in wanted}
    if writes and kinds & missing.keys():
        found |= await asyncio.to_thread(_operators_names, read, team)
    return KnownNames(found, held, missing)


async def asked_names(read: Read) -> KnownNames:
    """The roles and teams that a task may ask, as far as the actor may know them."""
    active = select(col(Team.slug)).where(col(Team.state) == TeamState.ACTIVE.value)
    teams = _readable(read, await read.session.scalars(active))
    root = content.root(read.platform.settings.content_dir)
    roles = read.policy.role_names() | (await asyncio.to_thread(read_roles, root)).keys()
    return KnownNames({NameKind.TEAM: _names(teams), NameKind.ROLE: _names(roles)})


async def check_names(
    read: Read, source: Source, references: Iterable[Reference], team: str
) -> tuple[Problem, ...]:
    """The problems of names in a document of the team, with the severities of a publication."""
    wanted = tuple(references)
    return tuple(name_problems(source, wanted, await known_names(read, wanted, team), team=team))


def of_any_team(known: KnownNames, team: str, owner: str | None = None) -> KnownNames:
    """The names for a document whose team and owner stand for any others: that of a template."""
    kinds = {NameKind.CHANNEL, NameKind.SECRET}
    by_kind = {kind: names for kind, names in known.by_kind.items() if kind not in kinds}
    people, roles = by_kind[NameKind.PERSON], by_kind[NameKind.ROLE]
    by_kind[NameKind.PERSON] = Names({*people.exist, str(owner)}, people.suggested)
    own = {(team, role) for role in roles.exist}
    why = dict.fromkeys(kinds, "each team that uses the template has its own")
    return KnownNames(by_kind, {*known.held, *own}, why)


def _readable(read: Read, teams: Iterable[str]) -> frozenset[str]:
    """Those of the teams whose people the actor may know."""
    scope = read.scope(Permission.ENTRY_READ)
    return frozenset(team for team in teams if scope.allows(team, DataClass.INTERNAL))


def _people(read: Read) -> tuple[frozenset[str], frozenset[tuple[str, str]]]:
    """The people in the teams that the actor may read, and the roles held in them: (team, role)."""
    memberships = read.policy.memberships
    teams = _readable(read, memberships.all_teams())
    people = frozenset(each for each in memberships if memberships.teams(each) & teams)
    held = frozenset(
        (team, role)
        for subject in people
        for role, team in memberships.roles(subject)
        if team in teams
    )
    return people, held


async def _systems(read: Read, references: Iterable[Reference]) -> Names:
    wanted = {each.name for each in references if each.kind is NameKind.SYSTEM}
    if not wanted:
        return _names(())
    exist = await entries_among(read, wanted, EntryKind.SYSTEM, readable_entries(read))
    near = await similar_entries(read, wanted - exist, EntryKind.SYSTEM)
    return Names(exist, near)


async def entries_among(
    read: Read, refs: Collection[str], kind: EntryKind, allowed: ColumnElement[bool]
) -> frozenset[str]:
    """Those of the refs, `namespace/name`, that are entries of the kind and allowed."""
    pairs = sorted(tuple(ref.split("/", 1)) for ref in refs if "/" in ref)
    query = select(ENTRIES.c.namespace, ENTRIES.c.name).where(
        tuple_(ENTRIES.c.namespace, ENTRIES.c.name).in_(pairs), ENTRIES.c.kind == kind, allowed
    )
    rows = (await read.session.execute(query)).all() if pairs else []
    return frozenset(f"{row.namespace}/{row.name}" for row in rows)


async def similar_entries(read: Read, refs: Collection[str], kind: EntryKind) -> frozenset[str]:
    """Readable entries that may be meant by refs: those with the same namespace or name."""
    if not refs:
        return frozenset()
    namespaces, names = zip(*(ref.partition("/")[::2] for ref in sorted(refs)), strict=True)
    query = (
        select(ENTRIES.c.namespace, ENTRIES.c.name)
        .where(
            or_(ENTRIES.c.namespace.in_(namespaces), ENTRIES.c.name.in_(names)),
            ENTRIES.c.kind == kind,
            readable_entries(read),
        )
        .order_by(ENTRIES.c.namespace, ENTRIES.c.name)
        .limit(MAX_SUGGESTED)
    )
    rows = (await read.session.execute(query)).all()
    return frozenset(f"{row.namespace}/{row.name}" for row in rows)


async def require_known(
    read: Read, refs: Sequence[str], *kinds: EntryKind, path: str = "/filter/flows"
) -> None:
    """Refuse a filter that found nothing because an entry is not there to be read.

    Call it for an empty result only: whoever may read a run may filter by its flow, also where the
    catalog hides it.

    Raises:
        Invalid: With those of the entries that do not exist, or may not be read.
    """
    exist: set[str] = set()
    for kind in kinds:
        exist |= await entries_among(read, refs, kind, readable_entries(read))
    missing = [ref for ref in refs if ref not in exist]
    near: set[str] = set()
    for kind in kinds:
        near |= await similar_entries(read, missing, kind)
    noun = kinds[0].lower() if len(kinds) == 1 else "entry"
    problems = [
        Problem(
            "INPUT_FILTER",
            f"there is no {noun} {ref[:130]}, or you may not read it{did_you_mean(ref, near)}",
            path=f"{path}/{refs.index(ref)}",
        )
        for ref in missing
    ]
    if problems:
        raise Invalid(problems)


def _operators_names(read: Read, team: str) -> dict[NameKind, Names]:
    """The channels and secrets that flows of the team may use, where their files are here."""
    settings, found = read.platform.settings, {}
    secrets = SecretStore(settings.secrets_file).names(team)
    if secrets is not None:
        found[NameKind.SECRET] = _names(secrets)
    if settings.channels_file is not None:
        try:
            channels = Channels(settings.channels_file).current()
        except OperatorFileError:
            return found
        found[NameKind.CHANNEL] = _names(
            name for name, channel in channels.items() if channel.serves(team)
        )
    return found


def _names(names: Iterable[str]) -> Names:
    listed = frozenset(names)
    return Names(listed, listed)
