"""Groups of a directory, and the memberships that they give.

A group named `team/role` gives its people this role in the team, one named `team` the membership
alone, where the people of that team come from SCIM; any other name gives nothing. Roles that two
people give (`policies/approvals.csv`) wait for the second person here too.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import delete, exists, or_, select
from sqlmodel import col

from coe.access.decision import Decision
from coe.access.membership_changes import MembersSource, check_source, is_person
from coe.access.models import Membership, Person, PersonState, Team, TeamState
from coe.audit.events import Tag
from coe.errors import Conflict, Invalid, NotFound, Problem
from coe.identifiers import PLATFORM_TEAM, is_slug
from coe.identity.scim.models import ScimGroup, ScimGroupMember
from coe.identity.scim.users import SOURCE, require
from coe.identity.teams.changes import Change, Changing, changing
from coe.identity.teams.checks import check_roles
from coe.identity.teams.proposals import make_or_propose
from coe.work import Work

MAX_MEMBERS: Final = 5000
_MAX: Final = 200
_REASON: Final = "the groups of the directory"


@dataclass(frozen=True, slots=True)
class GroupValues:
    """What a directory says of a group; members are ids of accounts."""

    display_name: str
    external_id: str | None = None
    members: tuple[UUID, ...] = ()


@dataclass(frozen=True, slots=True)
class GroupRecord:
    """A group with the ids of the accounts in it."""

    row: ScimGroup
    members: tuple[UUID, ...]


_IS_HERE: Final = exists().where(
    col(Person.id) == col(ScimGroupMember.person_id), col(Person.state) != PersonState.LEFT.value
)
"""Who has left is in no group, also where the directory has not taken them out of it."""


async def groups(work: Work) -> list[GroupRecord]:
    """All groups of the directory, by time.

    Raises:
        Forbidden: `scim:provision` is refused.
    """
    require(work)
    rows = await work.session.scalars(
        select(ScimGroup).order_by(col(ScimGroup.created_at), col(ScimGroup.id))
    )
    found = await work.session.execute(
        select(col(ScimGroupMember.group_id), col(ScimGroupMember.person_id))
        .where(_IS_HERE)
        .order_by(col(ScimGroupMember.person_id))
    )
    members: dict[UUID, list[UUID]] = {}
    for group_id, person_id in found:
        members.setdefault(group_id, []).append(person_id)
    return [GroupRecord(row, tuple(members.get(row.id, ()))) for row in rows]


async def find_group(work: Work, key: UUID, *, lock: bool = False) -> GroupRecord:
    """A group of the directory; `lock` keeps it for a change of this transaction.

    Raises:
        Forbidden: `scim:provision` is refused.
        NotFound: There is none.
    """
    require(work)
    statement = select(ScimGroup).where(col(ScimGroup.id) == key)
    row = await work.session.scalar(
        statement.with_for_update() if lock else statement,
        execution_options={"populate_existing": True},
    )
    if row is None:
        raise NotFound
    found = await work.session.scalars(
        select(col(ScimGroupMember.person_id))
        .where(col(ScimGroupMember.group_id) == key, _IS_HERE)
        .order_by(col(ScimGroupMember.person_id))
    )
    return GroupRecord(row, tuple(found))


async def create_group(work: Work, values: GroupValues) -> GroupRecord:
    """Make a group.

    Raises:
        Forbidden: `scim:provision` is refused.
        Conflict: Another group has this name, or the team's people come from another source.
        Invalid: The name or the members are not valid, or the team has no such role.
    """
    decision = require(work)
    await _check(work, values, None)
    row = ScimGroup(
        display_name=values.display_name,
        external_id=values.external_id,
        created_at=work.now,
        changed_at=work.now,
    )
    work.session.add(row)
    await work.session.flush()
    await _set_members(work, row.id, values.members)
    await _record(work, row, decision, "created", values)
    await _give(work, {values.display_name})
    return await find_group(work, row.id)


async def change_group(work: Work, key: UUID, values: GroupValues) -> GroupRecord:
    """Make a group what the directory says, and its people's roles with it.

    Raises:
        Forbidden: `scim:provision` is refused.
        NotFound: There is no such group.
        Conflict: Another group has this name, or the team's people come from another source.
        Invalid: The name or the members are not valid, or the team has no such role.
    """
    found = await find_group(work, key, lock=True)
    decision = require(work)
    before = GroupValues(found.row.display_name, found.row.external_id, found.members)
    wanted = GroupValues(
        values.display_name, values.external_id, tuple(sorted(set(values.members)))
    )
    if before == wanted:
        await _give(work, {wanted.display_name})  # the team may be newer than the group
        return found
    await _check(work, wanted, found.row)
    names = {before.display_name, wanted.display_name}
    found.row.display_name, found.row.external_id = wanted.display_name, wanted.external_id
    found.row.changed_at = work.now
    await _set_members(work, key, wanted.members)
    await _record(work, found.row, decision, "changed", wanted)
    await _give(work, names)
    return await find_group(work, key)


async def delete_group(work: Work, key: UUID) -> None:
    """Delete a group: nobody has a role by it any more.

    Raises:
        Forbidden: `scim:provision` is refused.
        NotFound: There is no such group.
    """
    found = await find_group(work, key, lock=True)
    decision = require(work)
    name = found.row.display_name
    await _record(work, found.row, decision, "deleted", GroupValues(name))
    await work.session.execute(delete(ScimGroup).where(col(ScimGroup.id) == key))
    await _give(work, {name})


def role_of(display_name: str) -> tuple[str, str | None] | None:
    """The team and the role that a name of a group stands for; None for any other name."""
    team, slash, role = display_name.partition("/")
    if not is_slug(team) or (slash and not is_slug(role)):
        return None
    return team, role or None


async def _check(work: Work, values: GroupValues, row: ScimGroup | None) -> None:
    for name, value in (("displayName", values.display_name), ("externalId", values.external_id)):
        if value is not None and (not 0 < len(value) <= _MAX or "\0" in value):
            message = f"it has 1 to {_MAX} characters, and no NUL"
            raise Invalid([Problem("INPUT_NAME", message, path=f"/{name}")])
    same = await work.session.scalar(
        select(col(ScimGroup.id)).where(col(ScimGroup.display_name) == values.display_name)
    )
    if same is not None and (row is None or same != row.id):
        raise Conflict(f"there is a group {values.display_name} already")
    await _check_members(work, values.members)
    meant = role_of(values.display_name)
    team = await work.session.get(Team, meant[0], populate_existing=True) if meant else None
    if meant is None or team is None or team.state != TeamState.ACTIVE:
        return
    require(work, team.slug)
    check_source(team.slug, team.members_source, SOURCE)
    if meant[1] is not None:
        await check_roles(work, team.slug, "", [meant[1]], path="/displayName")


async def _check_members(work: Work, members: Collection[UUID]) -> None:
    if len(members) > MAX_MEMBERS:
        message = f"a group has at most {MAX_MEMBERS} members"
        raise Invalid([Problem("INPUT_MEMBERS", message, path="/members")])
    found = await work.session.scalars(
        select(col(Person.id)).where(
            col(Person.id).in_(members),
            col(Person.source) == SOURCE,
            col(Person.state) != PersonState.LEFT.value,
        )
    )
    missing = set(members) - set(found)
    if missing:
        message = "a member is no account of this directory"
        raise Invalid([Problem("INPUT_MEMBERS", message, path="/members")])


async def _set_members(work: Work, key: UUID, members: Collection[UUID]) -> None:
    await work.session.execute(delete(ScimGroupMember).where(col(ScimGroupMember.group_id) == key))
    work.session.add_all(
        ScimGroupMember(group_id=key, person_id=member) for member in sorted(set(members))
    )
    await work.session.flush()


async def _give(work: Work, names: Collection[str]) -> None:
    """Make the memberships of the teams that these names stand for what their groups say."""
    meant = (role_of(name) for name in names)
    async with changing(work) as changes:
        for team in sorted({each[0] for each in meant if each is not None}):
            row = await work.session.get(Team, team, populate_existing=True)
            if row is None or row.members_source != MembersSource.SCIM:
                continue
            if row.state == TeamState.ACTIVE:
                await _give_team(changes, require(work, team), team)


async def _give_team(changes: Changing, decision: Decision, team: str) -> None:
    wanted = await _wanted(changes.work, team)
    rows = await changes.work.session.scalars(
        select(Membership).where(col(Membership.team) == team, col(Membership.origin) == SOURCE)
    )
    stored = {row.subject: row for row in rows if is_person(row.subject)}
    for subject in sorted({*wanted, *stored}):
        have = stored.get(subject)
        roles, name = wanted.get(subject, (None, have.display_name if have else subject))
        if have is not None and roles is not None and sorted(have.roles) == sorted(roles):
            continue
        if have is not None and roles is not None and not set(have.roles) <= set(roles):
            kept = tuple(sorted(set(have.roles) & set(roles)))
            await _apply(changes, decision, Change(team, subject, name, kept))
        if have is None or roles is None or not set(roles) <= set(have.roles):
            await _apply(changes, decision, Change(team, subject, name, roles))


async def _apply(changes: Changing, decision: Decision, change: Change) -> None:
    await make_or_propose(changes, SOURCE, change, decision=decision, reason=_REASON)


async def _wanted(work: Work, team: str) -> dict[str, tuple[tuple[str, ...], str]]:
    """By subject the roles that the groups of a team give, and the name for people."""
    found = await work.session.execute(
        select(col(ScimGroup.display_name), col(Person.subject), col(Person.display_name))
        .join(ScimGroupMember, col(ScimGroupMember.group_id) == col(ScimGroup.id))
        .join(Person, col(Person.id) == col(ScimGroupMember.person_id))
        .where(
            or_(
                col(ScimGroup.display_name) == team,
                col(ScimGroup.display_name).startswith(f"{team}/", autoescape=True),
            ),
            col(Person.state) != PersonState.LEFT.value,
        )
    )
    roles: dict[str, set[str]] = {}
    names: dict[str, str] = {}
    for group, subject, name in found:
        meant = role_of(group)
        if meant is not None and meant[0] == team:
            names[subject] = name
            roles.setdefault(subject, set()).update({meant[1]} if meant[1] else set())
    return {subject: (tuple(sorted(held)), names[subject]) for subject, held in roles.items()}


async def _record(
    work: Work, row: ScimGroup, decision: Decision, what: str, values: GroupValues
) -> None:
    await work.record(
        Tag.ACCESS_SCIM_PROVISION,
        resource=f"team:{PLATFORM_TEAM}",
        team=PLATFORM_TEAM,
        decision=decision,
        detail={
            "what": what,
            "group": str(row.id),
            "displayName": values.display_name,
            "members": [str(member) for member in values.members],
        },
    )
