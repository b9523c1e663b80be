"""Replace the memberships that an origin gives, such as an issuer at a sign-in or a directory."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from coe.access.load import LoadedPolicy, renew_version
from coe.access.membership_changes import (
    GivenMembership,
    drop_membership,
    lock_policy,
    put_membership,
    source_of,
    sources_of,
    without_team,
)
from coe.access.models import Membership
from coe.db import utcnow
from coe.json_types import JSON

__all__ = ["GivenMembership", "MembershipChanges", "replace_memberships"]

_Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class MembershipChanges:
    """What a replacement did, each as `team/subject`, and the policy after it.

    `skipped` were not made: the team does not exist, or its people come from another source. `left`
    are the subjects that are in no team any more.
    """

    policy: LoadedPolicy
    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    left: tuple[str, ...] = ()

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
    now: datetime | None = None,
) -> MembershipChanges:
    """Make the memberships of an origin those given, with a new version of the policy.

    The caller commits, records the change, and settles those who left
    (`coe.identity.teams.changes.replace_all` does all three). The people of a team come from one
    source (`Team.members_source`): what another one gives is skipped.

    Args:
        session: The transaction of the change.
        origin: Whose memberships they are, such as `oidc:acme` or `scim`.
        given: All that the origin has, or gives to `subject`.
        subject: Replace only those of this person.
        now: By default the clock's time.
    """
    await lock_policy(session)
    stored = await _stored(session, origin, subject=subject)
    wanted = {(each.team, each.subject): each for each in given}
    possible = await _possible(session, origin, wanted)
    removed = sorted(set(stored) - set(possible))
    for key in removed:
        await drop_membership(session, *key, now=now)
    added = sorted(set(possible) - set(stored))
    changed = sorted(
        key
        for key in possible
        if stored.get(key, _content(possible[key])) != _content(possible[key])
    )
    for key in (*added, *changed):
        await put_membership(session, origin, possible[key])
    policy = await renew_version(session)
    return MembershipChanges(
        policy,
        added=_names(added),
        changed=_names(changed),
        removed=_names(removed),
        skipped=_names(sorted(set(wanted) - set(possible))),
        left=await without_team(session, {each for _, each in removed}, now or utcnow()),
    )


async def _stored(
    session: AsyncSession, origin: str, *, subject: str | None
) -> dict[_Key, tuple[str, list[str], datetime | None]]:
    """What the origin has, and what the team's people were when it was given to the origin."""
    mine: list[ColumnElement[bool]] = [col(Membership.origin).in_({origin, source_of(origin)})]
    if subject is not None:
        mine.append(col(Membership.subject) == subject)
    rows = await session.scalars(
        select(Membership).where(*mine).execution_options(populate_existing=True)
    )
    return {
        (row.team, row.subject): (row.display_name, sorted(row.roles), row.expires_at)
        for row in rows
    }


async def _possible(
    session: AsyncSession, origin: str, wanted: dict[_Key, GivenMembership]
) -> dict[_Key, GivenMembership]:
    """Those whose team takes its people from this source, and that no other origin of it has."""
    sources = await sources_of(session, {team for team, _ in wanted})
    others = await session.execute(
        select(col(Membership.team), col(Membership.subject)).where(
            col(Membership.origin).not_in({origin, source_of(origin), "grant"}),
            col(Membership.subject).in_({subject for _, subject in wanted}),
        )
    )
    taken = {(row.team, row.subject) for row in others}
    return {
        key: each
        for key, each in wanted.items()
        if sources.get(key[0]) == source_of(origin) and key not in taken
    }


def _content(given: GivenMembership) -> tuple[str, list[str], datetime | None]:
    return given.display_name, sorted(set(given.roles)), given.expires_at


def _names(keys: Collection[_Key]) -> tuple[str, ...]:
    return tuple(f"{team}/{subject}" for team, subject in keys)
