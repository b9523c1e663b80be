"""Memberships: the teams of each subject, and its roles there.

A process reads all of them at once, hundreds of thousands in a large company, and asks for a few.
So reading them makes no object for each: what a subject holds, and who holds a role, is computed
when it is first asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from coe.access.actor import ActorKind, subject_kind
from coe.access.ends import ends_of, is_alive, live_grants
from coe.access.records import TeamRecord
from coe.identifiers import EVERY_TEAM


class Memberships:
    """The memberships of one policy version, as they count at one time; they never change."""

    def __init__(self, teams: Iterable[TeamRecord], now: datetime) -> None:
        """Keep what counts now; `until` is when the first of it ends, None if nothing does."""
        self.until: datetime | None = None
        self._members: dict[str, Mapping[str, tuple[str, ...]]] = {}
        """By team and subject, the roles there."""
        self._teams: dict[str, tuple[str, ...]] = {}
        self._roles: dict[str, frozenset[tuple[str, str]]] = {}
        self._kinds: dict[str, ActorKind | None] = {}
        self._holders: dict[str, frozenset[str]] = {}
        for each in teams:
            members = {**each.lasting, **self._counting(each, now)} if each.ending else each.lasting
            if members:
                self._members[each.team] = members
        in_ = self._teams
        for team, members in self._members.items():
            alone = (team,)
            for subject in members:
                in_[subject] = in_[subject] + alone if subject in in_ else alone

    def __contains__(self, subject: str) -> bool:
        """Whether the subject is in a team."""
        return subject in self._teams

    def __iter__(self) -> Iterator[str]:
        """Every subject that is in a team."""
        return iter(self._teams)

    def roles(self, subject: str) -> frozenset[tuple[str, str]]:
        """The subject's roles as (role, team)."""
        found = self._roles.get(subject)
        if found is None and subject in self._teams:
            found = self._roles[subject] = frozenset(
                (role, team)
                for team in self._teams[subject]
                for role in self._members[team][subject]
                if role
            )
        return found or frozenset()

    def teams(self, subject: str) -> frozenset[str]:
        """The teams that the subject is in."""
        return frozenset(self._teams.get(subject, ()))

    def kind(self, subject: str) -> ActorKind | None:
        """The kind of any subject, in a team or not; None if it is malformed."""
        found = self._kinds.get(subject)
        if found is None:
            found = _kind(subject)
            if subject in self._teams:
                self._kinds[subject] = found
        return found

    def all_teams(self) -> frozenset[str]:
        """Every team with a member."""
        return frozenset(self._members)

    def holds(self, subject: str, role: str) -> bool:
        """Whether the subject holds a role: `finance/lead`, or in any team `*/lead`."""
        team, _, name = role.partition("/")
        if team == EVERY_TEAM:
            return any(name == each for each, _ in self.roles(subject))
        return self.has_role(subject, name, team)

    def has_role(self, subject: str, role: str, team: str) -> bool:
        """Whether the subject holds the role in this team."""
        return (role, team) in self.roles(subject)

    def holders(self, role: str) -> frozenset[str]:
        """The subjects that hold a role, named as in `holds`."""
        found = self._holders.get(role)
        if found is None:
            team, _, name = role.partition("/")
            places = self._members if team == EVERY_TEAM else {team} & self._members.keys()
            found = frozenset(
                subject
                for place in places
                for subject, roles in self._members[place].items()
                if name and name in roles
            )
            if found:
                self._holders[role] = found
        return found

    def role_names(self) -> frozenset[str]:
        """The roles that somebody holds, without their teams."""
        everyone = (roles for people in self._members.values() for roles in people.values())
        return frozenset().union(*everyone)

    def _counting(self, team: TeamRecord, now: datetime) -> dict[str, tuple[str, ...]]:
        """The roles that count now, of memberships that end or that have roles which end."""
        found: dict[str, tuple[str, ...]] = {}
        for each in team.ending:
            if not is_alive(each.expires_at, each.granted, now):
                continue
            later = (end for end in ends_of(each.expires_at, each.granted) if end > now)
            self.until = min((end for end in (self.until, *later) if end), default=None)
            ended = each.expires_at is not None and each.expires_at <= now
            own = () if ended else each.roles
            found[each.subject] = (*own, *live_grants(each.granted, now))
        return found


def _kind(subject: str) -> ActorKind | None:
    try:
        return subject_kind(subject)
    except ValueError:
        return None
