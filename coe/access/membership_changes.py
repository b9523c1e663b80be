"""Change memberships: the one place that writes them, whoever gives them.

The people of a team come from one source, which the team names (`Team.members_source`): a change
of another source is refused. Services are apart from it, for no directory of people knows them.
Beside the roles of the source a person may be granted further roles until a given time.

Every change takes the lock of the policy first and ends with `renew_version`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from coe.access.actor import ActorKind, subject_kind
from coe.access.ends import is_alive, live_grants
from coe.access.models import Membership, Team
from coe.access.signed_policy import begin_change, touch_team
from coe.db import utcnow
from coe.errors import Conflict
from coe.formats import instants


class MembersSource(StrEnum):
    """Where the people of a team come from."""

    API = "api"
    """The mutations of the API, and `coe team add`."""
    CONTENT = "content"
    """The files in `catalog/teams/`."""
    OIDC = "oidc"
    """The groups of people at their sign-in."""
    SCIM = "scim"
    """The groups of a directory that speaks SCIM."""


_NAMES: Final = {
    MembersSource.API: "the API (coe team add, change and remove)",
    MembersSource.CONTENT: "the file catalog/teams/{team}.yaml",
    MembersSource.OIDC: "the groups of people at their sign-in",
    MembersSource.SCIM: "the groups of the directory, by SCIM",
}


@dataclass(frozen=True, slots=True)
class GivenMembership:
    """A membership as its origin gives it; without an end it lasts."""

    team: str
    subject: str
    display_name: str
    roles: tuple[str, ...] = ()
    expires_at: datetime | None = None


def source_of(origin: str) -> str:
    """The source of an origin: `oidc` of `oidc:acme`."""
    return origin.partition(":")[0]


def named_source(source: str, team: str) -> str:
    """The source for people: `the file catalog/teams/sales.yaml`."""
    return _NAMES[MembersSource(source)].format(team=team)


async def lock_policy(session: AsyncSession) -> None:
    """Hold the policy for this transaction: one changes it at a time.

    Raises:
        PolicyChanged: It is not what was signed: somebody changed it in the database.
    """
    await begin_change(session)


async def sources_of(session: AsyncSession, teams: Collection[str]) -> dict[str, str]:
    """The source of the people of each team that exists."""
    rows = await session.execute(
        select(col(Team.slug), col(Team.members_source)).where(col(Team.slug).in_(teams))
    )
    return {row.slug: row.members_source for row in rows}


def check_source(team: str, held_by: str, origin: str) -> None:
    """Refuse a change of the people of a team by another source than the team's.

    Raises:
        Conflict: Another source has the say; the message says which.
    """
    if source_of(origin) != held_by:
        raise Conflict(
            f"the members of {team} come from {named_source(held_by, team)}: "
            "change them there, or give the team another source (coe team source)"
        )


def is_person(subject: str) -> bool:
    """Whether a subject is a person: the source of a team has the say about people only."""
    return subject_kind(subject) is ActorKind.PERSON


async def find_membership(session: AsyncSession, team: str, subject: str) -> Membership | None:
    """The membership of a subject in a team, as it is now."""
    return await session.get(Membership, (team, subject), populate_existing=True)


async def put_membership(session: AsyncSession, origin: str, given: GivenMembership) -> None:
    """Write what the origin gives; what was granted beside it stays."""
    await touch_team(session, given.team)
    row = await find_membership(session, given.team, given.subject)
    if row is None:
        row = Membership(team=given.team, subject=given.subject, display_name="", roles=[])
        session.add(row)
    row.display_name, row.origin = given.display_name, origin
    row.roles, row.expires_at = sorted(set(given.roles)), given.expires_at
    await session.flush()


async def drop_membership(
    session: AsyncSession, team: str, subject: str, *, now: datetime | None = None
) -> None:
    """Take out what the origin gave; what was granted beside it stays until its own end."""
    now = now or utcnow()
    await touch_team(session, team)
    row = await find_membership(session, team, subject)
    if row is None:
        return
    granted = live_grants(row.granted, now)
    if granted:
        row.roles, row.expires_at, row.granted = [], now, granted
    else:
        await session.delete(row)
    await session.flush()


async def grant_role(
    session: AsyncSession,
    given: GivenMembership,
    until: datetime,
    *,
    now: datetime,
) -> None:
    """Grant the roles of `given` beside those of the team's source, until a time."""
    await touch_team(session, given.team)
    row = await find_membership(session, given.team, given.subject)
    if row is None:
        row = Membership(
            team=given.team,
            subject=given.subject,
            display_name=given.display_name,
            roles=[],
            origin="grant",
            expires_at=now,
        )
        session.add(row)
    ends = {role: instants.write(until) for role in given.roles or ("",)}
    row.granted = {**row.granted, **ends}
    await session.flush()


@dataclass(frozen=True, slots=True)
class EndedGrant:
    """A membership, or a role beside it, whose time is over; without a role the membership.

    `roles` are those that ended with it.
    """

    team: str
    subject: str
    role: str | None
    roles: tuple[str, ...] = ()


async def has_ended(session: AsyncSession, now: datetime) -> bool:
    """Whether the end of a membership or grant is past and not noted; takes no lock."""
    rows = await session.execute(
        select(col(Membership.expires_at), col(Membership.granted), col(Membership.origin)).where(
            (col(Membership.expires_at) <= now) | (col(Membership.granted) != {})
        )
    )
    return any(
        (row.expires_at is not None and row.expires_at <= now and row.origin != "grant")
        or len(live_grants(row.granted, now)) < len(row.granted)
        for row in rows
    )


async def forget_ended(session: AsyncSession, now: datetime) -> tuple[EndedGrant, ...]:
    """Delete the memberships and grants whose time is over: they do not count since then.

    Returns:
        What had ended and was still there, in order.
    """
    ended: list[EndedGrant] = []
    rows = await session.scalars(
        select(Membership)
        .where((col(Membership.expires_at) <= now) | (col(Membership.granted) != {}))
        .order_by(col(Membership.team), col(Membership.subject))
        .execution_options(populate_existing=True)
    )
    for row in list(rows):
        await touch_team(session, row.team)
        live = live_grants(row.granted, now)
        ended += [
            EndedGrant(row.team, row.subject, role or None, (role,) if role else ())
            for role in sorted(set(row.granted) - set(live))
        ]
        if row.granted != live:
            row.granted = live
        if row.roles or row.origin != "grant":
            ended += _ended_base(row, now)
        await session.flush()
        await _forget_if_over(session, row, now)
    return tuple(ended)


def _ended_base(row: Membership, now: datetime) -> Iterable[EndedGrant]:
    if row.expires_at is None or row.expires_at > now or row.origin == "grant":
        return
    roles, row.roles, row.origin = tuple(row.roles), [], "grant"
    yield EndedGrant(row.team, row.subject, None, roles)


async def _forget_if_over(session: AsyncSession, row: Membership, now: datetime) -> None:
    if not is_alive(row.expires_at, row.granted, now):
        await session.delete(row)
        await session.flush()


async def without_team(
    session: AsyncSession, subjects: Collection[str], now: datetime
) -> tuple[str, ...]:
    """Those of the subjects that are in no team now, in order."""
    rows = await session.scalars(
        select(Membership)
        .where(col(Membership.subject).in_(subjects))
        .execution_options(populate_existing=True)
    )
    members = {row.subject for row in rows if is_alive(row.expires_at, row.granted, now)}
    return tuple(sorted(set(subjects) - members))


async def hand_over(session: AsyncSession, team: str, source: MembersSource) -> None:
    """Give a team another source: its people stay until that source changes them."""
    await session.execute(
        update(Team).where(col(Team.slug) == team).values(members_source=source.value)
    )
    await session.execute(
        update(Membership)
        .where(
            col(Membership.team) == team,
            col(Membership.origin) != "grant",
            ~col(Membership.subject).startswith("service:"),
        )
        .values(origin=source.value)
    )


async def drop_all(session: AsyncSession, keys: Sequence[tuple[str, str]]) -> None:
    """Delete memberships by team and subject, with what was granted beside them."""
    for team, subject in keys:
        await touch_team(session, team)
        await session.execute(
            delete(Membership).where(
                col(Membership.team) == team, col(Membership.subject) == subject
            )
        )
