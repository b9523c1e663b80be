"""The policy in force: decisions, what an actor may read, and the store that keeps it current."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from sqlalchemy.ext.asyncio import AsyncSession

from coe.access.actor import Actor, ActorKind, DataClass
from coe.access.decision import Decision, matched, refused, unmatched
from coe.access.enforcer import AccessRequest, Enforcers
from coe.access.memberships import Memberships
from coe.access.network import Network, NetworkLine
from coe.access.permissions import PERMISSIONS, Permission, in_scopes
from coe.access.policy_lines import (
    ANY,
    KIND_PREFIX,
    LINE_FIELDS,
    RELATION_PREFIX,
    DerivedRole,
    PolicyLine,
    Relation,
)
from coe.access.records import PolicyRecord, read_policy, read_policy_version
from coe.access.scope import AccessScope
from coe.identifiers import is_slug

__all__ = ["AccessScope", "Decision", "Policy", "PolicyStore"]

MAX_REMEMBERED: Final = 50_000
_OTHER: Final = "?"  # stands for any team or subject that the policy does not name; no slug
_RELATIONS: Final = frozenset(Relation)
_log = logging.getLogger(__name__)


class _Question(NamedTuple):
    """What a decision depends on; two actors of whom the policy knows nothing are one."""

    subject: str
    kind: ActorKind
    permission: str
    team: str
    data_class: DataClass
    relations: frozenset[str]


class Policy:
    """One version of the policy. It never changes; what it decided, it remembers, within a bound.

    Whatever it cannot make sense of is refused: an unknown permission, relation or class, an id
    outside its alphabet, a broken line, an exception.
    """

    def __init__(self, rows: PolicyRecord | None = None) -> None:
        """Make the policy of the rows; without rows, one that refuses everything."""
        rows = rows or PolicyRecord()
        self.version: Final = rows.version
        self._broken: dict[str, str] = {}
        self.memberships: Final = Memberships(rows.memberships)
        self.network: Final = Network(_readable_network(rows))
        lines = list(self._readable(rows))
        self._enforcers = self._make(rows.model, lines)
        self._teams = self.memberships.all_teams() | {
            line.team for line in lines if line.team != ANY
        }
        self._remembered: dict[_Question, Decision] = {}

    # ------------------------------------------------------------------ questions

    def decide(
        self,
        actor: Actor,
        permission: Permission | str,
        *,
        team: str,
        data_class: DataClass = DataClass.INTERNAL,
        relations: Collection[str] = (),
    ) -> Decision:
        """Decide whether the actor may do this on a thing of the team and the class.

        Args:
            actor: Who asks; the scopes of its token only narrow.
            permission: What it wants; anything but a `Permission` is refused.
            team: The slug of the team that owns the thing.
            data_class: The thing's class.
            relations: What the actor is to the thing, each a `coe.access.policy_lines.Relation`.
        """
        name = str(permission)
        if actor.scopes is not None and not in_scopes(name, actor.scopes):
            return refused(name, f"The token that was sent has no scope for {name}.")
        doubt = self._doubt(actor, name, team, data_class, relations)
        if doubt:
            return refused(name, doubt)
        question = self._question(actor, name, team, data_class, frozenset(relations))
        decision = self._remembered.get(question)
        if decision is None:
            decision = self._decide(question)
        return decision

    def scope(
        self,
        actor: Actor,
        permission: Permission | str,
        *,
        relations: Collection[str] = (),
    ) -> AccessScope:
        """Say for which teams and classes `decide` would allow, given the relations.

        Its cost grows with the actor's teams, not with all teams. Rows on which the actor has a
        relation are asked for apart: `or_(scope().clause(…), and_(run.started_by == actor,
        scope(relations={"requester"}).clause(…)))`.
        """

        def classes(team: str) -> frozenset[DataClass]:
            return frozenset(
                each
                for each in DataClass
                if self.decide(
                    actor, permission, team=team, data_class=each, relations=relations
                ).allowed
            )

        elsewhere = classes(self._unnamed_team())
        named = self.memberships.teams(actor.subject)
        named |= {line.team for line in self.lines(str(permission)) if line.team != ANY}
        teams = {team: classes(team) for team in sorted(named)}
        return AccessScope(
            elsewhere, {team: some for team, some in teams.items() if some != elsewhere}
        )

    def permissions(self, actor: Actor) -> frozenset[Permission]:
        """Return what the actor may do somewhere, by its roles alone."""
        return frozenset(each for each in Permission if not self.scope(actor, each).empty)

    def roles(self, subject: str) -> frozenset[tuple[str, str]]:
        """Return the subject's roles as (role, team)."""
        return self.memberships.roles(subject)

    def teams(self, subject: str) -> frozenset[str]:
        """Return the teams that the subject is in."""
        return self.memberships.teams(subject)

    def holds(self, subject: str, role: str) -> bool:
        """Whether the subject holds a role: `finance-approver` in any team, or `finance/lead`."""
        return self.memberships.holds(subject, role)

    def lines(self, permission: str) -> tuple[PolicyLine, ...]:
        """Return the lines that name the permission."""
        return self._enforcers.lines(permission)

    def matching(
        self,
        actor: Actor,
        permission: str,
        *,
        team: str,
        data_class: DataClass = DataClass.INTERNAL,
        relations: Collection[str] = (),
    ) -> tuple[PolicyLine, ...]:
        """Return every line that matches, not only the one that decides. Slow: for explanations."""
        if self._doubt(actor, permission, team, data_class, relations):
            return ()
        question = self._question(actor, permission, team, data_class, frozenset(relations))
        return self._enforcers.matching(self._request(question))

    # ------------------------------------------------------------------ how

    def _doubt(
        self,
        actor: Actor,
        permission: str,
        team: str,
        data_class: DataClass,
        relations: Collection[str],
    ) -> str | None:
        """Say what is wrong with the question itself, if anything is."""
        if permission not in PERMISSIONS:
            return f"There is no permission {permission!r}."
        broken = self._broken.get(ANY) or self._broken.get(permission)
        if broken:
            return f"The policy for {permission} cannot be read: {broken}."
        if team not in self._teams and not is_slug(team):
            return f"{team!r} is no team."
        if not isinstance(data_class, DataClass):
            return f"{data_class!r} is no data class."
        if not _RELATIONS.issuperset(relations):
            unknown = sorted(set(relations) - _RELATIONS)
            return f"There is no relation {unknown[0]!r} of an actor to a thing."
        fits = self.memberships.kind(actor.subject) is actor.kind
        return None if fits else "The subject does not fit its kind."

    def _question(
        self,
        actor: Actor,
        permission: str,
        team: str,
        data_class: DataClass,
        relations: frozenset[str],
    ) -> _Question:
        return _Question(
            subject=actor.subject if actor.subject in self.memberships else _OTHER,
            kind=actor.kind,
            permission=permission,
            team=team if team in self._teams else _OTHER,
            data_class=data_class,
            relations=relations,
        )

    def _request(self, question: _Question) -> AccessRequest:
        marks = [DerivedRole.EVERYONE.value, KIND_PREFIX + question.kind.value.lower()]
        if question.kind is ActorKind.PERSON and question.subject in self.memberships:
            marks.append(DerivedRole.EMPLOYEE.value)
            if question.team in self.teams(question.subject):
                marks.append(DerivedRole.MEMBER.value)
        marks += sorted(RELATION_PREFIX + relation for relation in question.relations)
        return AccessRequest(
            subject=question.subject,
            team=question.team,
            permission=question.permission,
            data_class=question.data_class.value,
            marks=tuple(marks),
        )

    def _decide(self, question: _Question) -> Decision:
        try:
            verdict = self._enforcers.ask(self._request(question))
        except Exception:  # noqa: BLE001  # an engine that fails must refuse, whatever it raises
            _log.exception("the policy engine failed on %s", question.permission)
            return refused(question.permission, "The policy engine failed, so it is refused.")
        if verdict.line is None:
            team = "its team" if question.team == _OTHER else question.team
            lines = self.lines(question.permission)
            decision = unmatched(question.permission, lines, team, question.data_class)
        else:
            decision = matched(question.permission, verdict.line)
        if len(self._remembered) >= MAX_REMEMBERED:
            self._remembered = {}
        self._remembered[question] = decision
        return decision

    def _unnamed_team(self) -> str:
        name = "elsewhere"
        while name in self._teams:
            name += "-x"
        return name

    def _readable(self, rows: PolicyRecord) -> Iterable[PolicyLine]:
        for rule in rows.rules:
            try:
                yield PolicyLine.of(rule.fields, note=rule.note, source=rule.source)
            except ValueError as error:
                self._set_broken(rule.fields, f"{rule.source}: {error}")

    def _set_broken(self, fields: tuple[str, ...], why: str) -> None:
        """Refuse what a broken line may have been about; of a permission unknown here, nothing."""
        permission = fields[2] if len(fields) == len(LINE_FIELDS) else ANY
        if permission == ANY or permission in PERMISSIONS:
            self._broken[permission] = why

    def _make(self, model: str, lines: list[PolicyLine]) -> Enforcers:
        qualified = {line.role for line in lines if line.role and line.role[1] != ANY}
        try:
            return Enforcers(model, lines, self.memberships.grants(qualified))
        except Exception as error:  # noqa: BLE001  # one that cannot be read must refuse
            _log.exception("the policy model cannot be read")
            self._broken[ANY] = f"the model: {type(error).__name__}"
            return Enforcers("", (), ())


def _readable_network(rows: PolicyRecord) -> Iterable[NetworkLine]:
    """The network lines; one that cannot be read allows nothing."""
    for rule in rows.network:
        try:
            yield NetworkLine.of(rule.fields, note=rule.note, source=rule.source)
        except ValueError as error:
            _log.warning("%s is left out: %s", rule.source, error)


@dataclass(slots=True)
class PolicyStore:
    """Keeps the policy that is in force: one query a call, made anew only when it changed."""

    _policy: Policy = field(default_factory=Policy)

    async def current(self, session: AsyncSession) -> Policy:
        """Return the policy that the session sees in force.

        An installation without policies gets one that refuses everything. The new policy is made
        whole and then swapped in as one reference: whoever holds the old one goes on with it.
        """
        version = await read_policy_version(session)
        if version != self._policy.version:
            rows = await read_policy(session)
            if rows.version != self._policy.version:
                self._policy = Policy(rows)
        return self._policy
