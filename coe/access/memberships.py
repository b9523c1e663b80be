"""Memberships: the teams of each subject, and its roles there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from coe.access.actor import ActorKind, subject_kind
from coe.access.ends import ends_of, is_alive, live_grants
from coe.access.policy_lines import ANY
from coe.access.records import MembershipRecord
from coe.identifiers import EVERY_TEAM


class Memberships:
    """The memberships of one policy version, as they count at one time; they never change."""

    def __init__(self, memberships: Iterable[MembershipRecord], now: datetime) -> None:
        """Keep what counts now; `until` is when the first of it ends, None if nothing does."""
        self.until: datetime | None = None
        self._roles: dict[str, frozenset[tuple[str, str]]] = {}
        self._teams: dict[str, frozenset[str]] = {}
        self._holders: dict[tuple[str, str], set[str]] = {}
        self._kinds: dict[str, ActorKind | None] = {}
        for each in memberships:
            if not is_alive(each.expires_at, each.granted, now):
                continue
            roles = _roles_now(each, now)
            later = (end for end in ends_of(each.expires_at, each.granted) if end > now)
            self.until = min((end for end in (self.until, *later) if end), default=None)
            subject = each.subject
            self._kinds[subject] = _kind(subject)
            self._teams[subject] = self.teams(subject) | {each.team}
            self._roles[subject] = self.roles(subject) | {(role, each.team) for role in roles}
            for role in roles:
                self._holders.setdefault((role, each.team), set()).add(subject)

    def __contains__(self, subject: str) -> bool:
        """Whether the subject is in a team."""
        return subject in self._teams

    def __iter__(self) -> Iterator[str]:
        """Every subject that is in a team."""
        return iter(self._teams)

    def roles(self, subject: str) -> frozenset[tuple[str, str]]:
        """The subject's roles as (role, team)."""
        return self._roles.get(subject, frozenset())

    def teams(self, subject: str) -> frozenset[str]:
        """The teams that the subject is in."""
        return self._teams.get(subject, frozenset())

    def kind(self, subject: str) -> ActorKind | None:
        """The kind of any subject, in a team or not; None if it is malformed."""
        return self._kinds.get(subject) or _kind(subject)

    def all_teams(self) -> frozenset[str]:
        """Every team with a member."""
        return frozenset().union(*self._teams.values())

    def holds(self, subject: str, role: str) -> bool:
        """Whether the subject holds a role: `finance/lead`, or in any team `*/lead`."""
        return subject in self.holders(role)

    def holders(self, role: str) -> frozenset[str]:
        """The subjects that hold a role, named as in `holds`."""
        team, _, name = role.partition("/")
        if team != EVERY_TEAM:
            return frozenset(self._holders.get((name, team), ()))
        found = (some for (each, _), some in self._holders.items() if each == name)
        return frozenset().union(*found)

    def grants(self, qualified: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str, str]]:
        """The grants as Casbin's `g` takes them: (subject, role, team).

        A role that a line names with its team (`qualified`, as (role, team)) has a second grant,
        named `team/role`, for resources of any team.
        """
        for (role, team), subjects in self._holders.items():
            for subject in subjects:
                yield subject, role, team
        for role, team in qualified:
            for subject in self._holders.get((role, team), ()):
                yield subject, f"{team}/{role}", ANY


def _roles_now(membership: MembershipRecord, now: datetime) -> frozenset[str]:
    ended = membership.expires_at is not None and membership.expires_at <= now
    own = () if ended else membership.roles
    return frozenset(role for role in (*own, *live_grants(membership.granted, now)) if role)


def _kind(subject: str) -> ActorKind | None:
    try:
        return subject_kind(subject)
    except ValueError:
        return None
