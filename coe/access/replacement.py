"""Replace the memberships of one origin: the one way to change them beside the content folders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from coe.access.load import LoadedPolicy, lock_policy, renew_version
from coe.access.models import Membership, Team
from coe.json_types import JSON

_COLUMNS: Final = (
    col(Membership.team),
    col(Membership.subject),
    col(Membership.display_name),
    col(Membership.roles),
)


@dataclass(frozen=True, slots=True)
class GivenMembership:
    """A membership as its origin gives it."""

    team: str
    subject: str
    display_name: str
    roles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MembershipChanges:
    """What a replacement did, each as `team/subject`, and the policy after it.

    `skipped` were not made: the team does not exist, or another origin has the membership.
    """

    policy: LoadedPolicy
    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()

    @property
    def any(self) -> bool:
        """Whether a membership was added, changed or removed."""
        return bool(self.added or self.changed or self.removed)

    @property
    def detail(self) -> JSON:
        """The changes for the log."""
        return {
            "added": list(self.added),
            "changed": list(self.changed),
            "removed": list(self.removed),
            "skipped": list(self.skipped),
            "version": self.policy.version,
        }


async def replace_memberships(
    session: AsyncSession,
    origin: str,
    given: Sequence[GivenMembership],
    *,
    subject: str | None = None,
    team: str | None = None,
) -> MembershipChanges:
    """Make the memberships of an origin those given, with a new version of the policy.

    The caller commits, and records the change. A membership that another origin has stays as it is:
    one source has the say about a person in a team.

    Args:
        session: The transaction of the change.
        origin: Whose memberships they are, such as `oidc:acme` or `scim`.
        given: All that the origin has, within `subject` and `team`.
        subject: Replace only those of this person.
        team: Replace only those in this team.
    """
    await lock_policy(session)
    mine = [col(Membership.origin) == origin]
    if subject is not None:
        mine.append(col(Membership.subject) == subject)
    if team is not None:
        mine.append(col(Membership.team) == team)
    rows = await session.execute(select(*_COLUMNS).where(*mine))
    stored = {(row.team, row.subject): (row.display_name, sorted(row.roles)) for row in rows}
    wanted = {(each.team, each.subject): each for each in given}
    possible = await _possible(session, origin, wanted)
    removed = sorted(set(stored) - set(possible))
    for key in removed:
        await session.execute(
            delete(Membership).where(
                col(Membership.team) == key[0], col(Membership.subject) == key[1]
            )
        )
    added = sorted(set(possible) - set(stored))
    changed = sorted(
        key
        for key in possible
        if stored.get(key, _content(possible[key])) != _content(possible[key])
    )
    for key in (*added, *changed):
        await _write(session, origin, possible[key])
    policy = await renew_version(session)
    return MembershipChanges(
        policy,
        added=_names(added),
        changed=_names(changed),
        removed=_names(removed),
        skipped=_names(sorted(set(wanted) - set(possible))),
    )


async def _possible(
    session: AsyncSession, origin: str, wanted: dict[tuple[str, str], GivenMembership]
) -> dict[tuple[str, str], GivenMembership]:
    """Those whose team exists and that no other origin has."""
    teams = set(
        await session.scalars(
            select(col(Team.slug)).where(col(Team.slug).in_({team for team, _ in wanted}))
        )
    )
    others = await session.execute(
        select(col(Membership.team), col(Membership.subject)).where(
            col(Membership.origin) != origin,
            col(Membership.subject).in_({subject for _, subject in wanted}),
        )
    )
    taken = {(row.team, row.subject) for row in others}
    return {key: each for key, each in wanted.items() if key[0] in teams and key not in taken}


async def _write(session: AsyncSession, origin: str, given: GivenMembership) -> None:
    values = {"display_name": given.display_name, "roles": _roles(given), "origin": origin}
    await session.execute(
        insert(Membership)
        .values(team=given.team, subject=given.subject, **values)
        .on_conflict_do_update(index_elements=["team", "subject"], set_=values)
    )


def _content(given: GivenMembership) -> tuple[str, list[str]]:
    return given.display_name, _roles(given)


def _roles(given: GivenMembership) -> list[str]:
    return sorted(set(given.roles))


def _names(keys: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    return tuple(f"{team}/{subject}" for team, subject in keys)
