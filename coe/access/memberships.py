"""Who is in which team, with which roles."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from coe.access.actor import ActorKind, subject_kind
from coe.access.policy_lines import ANY
from coe.access.records import MembershipRecord


class Memberships:
    """The memberships of one policy version; nothing in it ever changes."""

    def __init__(self, memberships: Iterable[MembershipRecord] = ()) -> None:
        self._roles: dict[str, frozenset[tuple[str, str]]] = {}
        self._teams: dict[str, frozenset[str]] = {}
        self._holders: dict[tuple[str, str], set[str]] = {}
        self._kinds: dict[str, ActorKind | None] = {}
        for each in memberships:
            subject = each.subject
            self._kinds[subject] = _kind(subject)
            self._teams[subject] = self.teams(subject) | {each.team}
            self._roles[subject] = self.roles(subject) | {(role, each.team) for role in each.roles}
            for role in each.roles:
                self._holders.setdefault((role, each.team), set()).add(subject)

    def __contains__(self, subject: str) -> bool:
        """Whether the subject is in a team."""
        return subject in self._teams

    def __iter__(self) -> Iterator[str]:
        """Go through every subject that is in a team."""
        return iter(self._teams)

    def roles(self, subject: str) -> frozenset[tuple[str, str]]:
        """Return the subject's roles as (role, team)."""
        return self._roles.get(subject, frozenset())

    def teams(self, subject: str) -> frozenset[str]:
        """Return the teams that the subject is in."""
        return self._teams.get(subject, frozenset())

    def kind(self, subject: str) -> ActorKind | None:
        """Return the kind of any subject, in a team or not; None if it is malformed."""
        return self._kinds.get(subject) or _kind(subject)

    def all_teams(self) -> frozenset[str]:
        """Return every team that somebody is in."""
        return frozenset().union(*self._teams.values())

    def holds(self, subject: str, role: str) -> bool:
        """Whether the subject holds a role: `finance-approver` in any team, or `finance/lead`."""
        return subject in self.holders(role)

    def holders(self, role: str) -> frozenset[str]:
        """Return the subjects that hold a role, named as in `holds`."""
        team, slash, name = role.partition("/")
        if slash:
            return frozenset(self._holders.get((name, team), ()))
        found = (some for (each, _), some in self._holders.items() if each == role)
        return frozenset().union(*found)

    def grants(self, qualified: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str, str]]:
        """Give what casbin's `g` asks: (subject, role, team).

        Of the roles that a line names with their team, `qualified` as (role, team), there is a
        second grant, under that name and for things of any team.
        """
        for (role, team), subjects in self._holders.items():
            for subject in subjects:
                yield subject, role, team
        for role, team in qualified:
            for subject in self._holders.get((role, team), ()):
                yield subject, f"{team}/{role}", ANY


def _kind(subject: str) -> ActorKind | None:
    try:
        return subject_kind(subject)
    except ValueError:
        return None
