"""A version of the policy: its decisions, and the scope of an actor."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Hashable, Iterable
from datetime import datetime
from typing import Any, Final, NamedTuple, TypeVar

from coe.access.actor import Actor, ActorKind, DataClass
from coe.access.decision import Decision, matched, refused, unmatched
from coe.access.enforcer import AccessRequest, EnforcerResult, Enforcers
from coe.access.memberships import Memberships
from coe.access.network import Network, NetworkLine
from coe.access.permissions import PERMISSIONS, Permission, lacking_scope
from coe.access.persons import AGAINST_PREFIX
from coe.access.policy_lines import (
    ANY,
    KIND_PREFIX,
    LINE_FIELDS,
    RELATION_PREFIX,
    DerivedRole,
    Effect,
    PolicyLine,
    Relation,
)
from coe.access.records import PolicyRecord
from coe.access.scope import AccessScope
from coe.access.step_up import StepUp, StepUpLine
from coe.db import utcnow
from coe.identifiers import is_slug

__all__ = ["AccessScope", "Decision", "Policy"]

T = TypeVar("T")

MAX_CACHED_DECISIONS: Final = 50_000
MAX_CACHED_SCOPES: Final = 5_000
MAX_KEPT: Final = 500
_OTHER: Final = "?"  # any team or subject that the policy does not name; not a slug
_RELATIONS: Final = frozenset(Relation)
_READ_ELSEWHERE: Final = frozenset({Permission.ENTRY_READ.value})
"""What a machine that is bound to a team may do in others: read what every team may reuse."""
_ENDS_OWN: Final = frozenset({Permission.SESSION_REVOKE.value, Permission.TOKEN_REVOKE.value})
"""What a relation gives to who is in no team, too: ending what signs one in."""
_OWN: Final = RELATION_PREFIX + Relation.SELF
_log = logging.getLogger(__name__)


class _Question(NamedTuple):
    """What a decision depends on; all actors and teams that the policy does not name are one."""

    subject: str
    kind: ActorKind
    permission: str
    team: str
    data_class: DataClass
    relations: frozenset[str]
    machine_of: str | None


class Policy:
    """One version of the policy. It never changes, and caches a bounded number of decisions.

    Without a record it refuses everything. It also refuses whatever it does not understand: an
    unknown permission, relation or class, an id outside its alphabet, a broken line, an exception.
    """

    def __init__(
        self,
        record: PolicyRecord | None = None,
        *,
        now: datetime | None = None,
        broken: str | None = None,
    ) -> None:
        """Read the record as it counts now, by default at the clock's time.

        `broken` is why nothing at all is allowed.
        """
        record = record or PolicyRecord()
        self.version: Final = record.version
        self._broken: dict[str, str] = {}
        self.memberships: Final = Memberships(record.teams, now or utcnow())
        self.network: Final = Network(_valid_network_lines(record))
        self._approvals = frozenset(tuple(each.fields) for each in record.approvals)
        self.step_up: Final = StepUp(_step_up_lines(record))
        lines = list(self._valid_lines(record))
        self._enforcers = self._make(record.model, lines)
        self._teams = self.memberships.all_teams() | {
            line.team for line in lines if line.team != ANY
        }
        self._decisions: dict[_Question, Decision] = {}
        self._scopes: dict[Hashable, AccessScope] = {}
        self._permissions: dict[Hashable, frozenset[Permission]] = {}
        self._kept: dict[Hashable, Any] = {}
        self._role_names: frozenset[str] | None = None
        if broken is not None:
            self._broken[ANY] = broken.rstrip(".")

    def decide(
        self,
        actor: Actor,
        permission: Permission | str,
        *,
        team: str,
        data_class: DataClass = DataClass.INTERNAL,
        relations: Collection[str] = (),
    ) -> Decision:
        """Decide whether the actor has the permission on a resource of this team and class.

        Args:
            actor: The caller; the scopes and the team of its token only narrow. A scope is of use
                with those of the reading that it needs (`permissions.readings_needed`).
            permission: Anything but a `Permission` is refused.
            team: The slug of the team that owns the resource.
            data_class: The class of the resource.
            relations: The actor's relations to the resource
                (`coe.access.policy_lines.Relation`). They allow something only to a subject in a
                team; what they deny, they deny to everybody. One with `against:` before it is that
                of a person who counts as one with the actor (`coe.access.persons`): it only denies.
        """
        name = str(permission)
        narrowed = lacking_scope(name, actor.scopes)
        if narrowed:
            return refused(name, narrowed)
        own, every = _split(relations)
        objection = self._objection(actor, name, team, data_class, every)
        objection = objection or _bound_elsewhere(actor, name, team)
        if objection:
            return refused(name, objection)
        decision = self._answer(self._question(actor, name, team, data_class, own), team)
        if decision.allowed and every != own:
            return self._answer(self._question(actor, name, team, data_class, every), team)
        return decision

    def scope(
        self,
        actor: Actor,
        permission: Permission | str,
        *,
        relations: Collection[str] = (),
    ) -> AccessScope:
        """The teams and classes for which `decide` allows, given the relations.

        Its cost grows with the actor's teams, not with all teams. Rows to which the actor has a
        relation need a scope of their own: `or_(scope().clause(…), and_(run.started_by == actor,
        scope(relations={"requester"}).clause(…)))`.
        """
        key = (_asker(actor), str(permission), frozenset(relations))
        known = self._scopes.get(key)
        if known is None:
            known = self._scope(actor, permission, relations)
            if len(self._scopes) >= MAX_CACHED_SCOPES:
                self._scopes = {}
            self._scopes[key] = known
        return known

    def _scope(
        self, actor: Actor, permission: Permission | str, relations: Collection[str]
    ) -> AccessScope:
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
        named |= {actor.bound_to} if actor.bound_to else set()
        teams = {team: classes(team) for team in sorted(named)}
        return AccessScope(
            elsewhere, {team: some for team, some in teams.items() if some != elsewhere}
        )

    def permissions(self, actor: Actor) -> frozenset[Permission]:
        """The permissions that the actor has in any team, by its roles alone."""
        key = _asker(actor)
        known = self._permissions.get(key)
        if known is None:
            known = frozenset(each for each in Permission if not self.scope(actor, each).empty)
            if len(self._permissions) >= MAX_CACHED_SCOPES:
                self._permissions = {}
            self._permissions[key] = known
        return known

    def keep(self, actor: Actor, key: Hashable, make: Callable[[], T]) -> T:
        """What follows from this policy for an actor, such as a statement; made once for a key.

        The key has a bounded size and says what was made, beside policy and actor.
        """
        whole = (_asker(actor), actor.maker, actor.credential, key)
        if whole not in self._kept:
            if len(self._kept) >= MAX_KEPT:
                self._kept = {}
            self._kept[whole] = make()
        kept: T = self._kept[whole]
        return kept

    def roles(self, subject: str) -> frozenset[tuple[str, str]]:
        """The subject's roles as (role, team)."""
        return self.memberships.roles(subject)

    def teams(self, subject: str) -> frozenset[str]:
        """The teams that the subject is in."""
        return self.memberships.teams(subject)

    def holds(self, subject: str, role: str) -> bool:
        """Whether the subject holds a role: `finance/lead`, or in any team `*/lead`."""
        return self.memberships.holds(subject, role)

    def names(self, team: str) -> bool:
        """Whether the team has a member, or a line of its own."""
        return team in self._teams

    def role_names(self) -> frozenset[str]:
        """The roles that somebody holds or a line names, without their teams."""
        if self._role_names is None:
            lines = (line for permission in Permission for line in self.lines(permission))
            named = {line.role[0] for line in lines if line.role is not None}
            self._role_names = self.memberships.role_names() | named
        return self._role_names

    def enabling_roles(self, permission: str, team: str, data_class: DataClass) -> tuple[str, ...]:
        """The roles of a team that the lines of a permission allow it to, in their order."""
        return tuple(
            line.role[0]
            for line in self.lines(permission)
            if line.effect is Effect.ALLOW
            and line.role is not None
            and line.role[1] in {ANY, team}
            and line.takes_in(team, data_class.value)
        )

    def needs_approval(self, team: str, roles: Iterable[str]) -> frozenset[str]:
        """Those of the roles that a second person approves before they are given or taken.

        The lines of `policies/approvals.csv` say so.
        """
        return frozenset(
            role
            for role in roles
            if any(
                (place, name) in self._approvals for place in (team, ANY) for name in (role, ANY)
            )
        )

    def lines(self, permission: str) -> tuple[PolicyLine, ...]:
        """The lines of the permission."""
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
        """Every line that matches, not only the deciding one. Slow: for explanations."""
        own, every = _split(relations)
        objection = self._objection(actor, permission, team, data_class, every)
        if objection or _bound_elsewhere(actor, permission, team):
            return ()
        question = self._question(actor, permission, team, data_class, own)
        found = self._enforcers.matching(self._request(question))
        lines = tuple(line for line in found if self._counts(question, line))
        if every == own:
            return lines
        against = self._enforcers.matching(self._request(question._replace(relations=every)))
        denied = tuple(each for each in against if each.effect is Effect.DENY)
        return (*(each for each in lines if each not in denied), *denied)

    def _objection(
        self,
        actor: Actor,
        permission: str,
        team: str,
        data_class: DataClass,
        relations: Collection[str],
    ) -> str | None:
        """Why the question itself is invalid; None if it is valid."""
        if permission not in PERMISSIONS:
            return f"There is no permission {permission!r}."
        broken = self._broken.get(ANY) or self._broken.get(permission)
        if broken:
            return f"The policy for {permission} cannot be read: {broken}."
        if team not in self._teams and not is_slug(team):
            return f"{team!r} is not a team."
        if not isinstance(data_class, DataClass):
            return f"{data_class!r} is not a data class."
        if not _RELATIONS.issuperset(relations):
            unknown = sorted(set(relations) - _RELATIONS)
            return f"There is no relation {unknown[0]!r} of an actor to a resource."
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
            machine_of=actor.machine_of,
        )

    def _request(self, question: _Question) -> AccessRequest:
        marks = [DerivedRole.EVERYONE.value, KIND_PREFIX + question.kind.value.lower()]
        if question.kind is ActorKind.PERSON and question.subject in self.memberships:
            marks.append(DerivedRole.EMPLOYEE.value)
            if question.team in self.teams(question.subject):
                marks.append(DerivedRole.MEMBER.value)
        if question.machine_of is not None:
            marks.append(DerivedRole.EMPLOYEE.value)
            if question.machine_of == question.team:
                marks.append(DerivedRole.MACHINE.value)
        marks += sorted(RELATION_PREFIX + relation for relation in question.relations)
        return AccessRequest(
            subject=question.subject,
            team=question.team,
            permission=question.permission,
            data_class=question.data_class.value,
            marks=tuple(marks),
        )

    def _answer(self, question: _Question, team: str) -> Decision:
        decision = self._decisions.get(question)
        decision = self._decide(question) if decision is None else decision
        if question.team != _OTHER or decision.rules:
            return decision
        # A refusal reads alike whether or not there is a team of this name.
        why = decision.explanation.replace(f" in {_OTHER}", f" in {team}")
        return refused(decision.permission, why)

    def _counts(self, question: _Question, line: PolicyLine) -> bool:
        """Whether a line that matches has an effect: a relation gives nothing to who is in no team.

        So whoever leaves the last team loses what was written, started, owned or claimed, and stays
        excluded from what a relation excludes from. Everybody ends their own sessions and tokens.
        """
        gives = line.effect is Effect.ALLOW and line.subject.startswith(RELATION_PREFIX)
        return (
            not gives
            or question.subject in self.memberships
            or (question.permission in _ENDS_OWN and line.subject == _OWN)
        )

    def _evaluate(self, question: _Question) -> EnforcerResult:
        verdict = self._enforcers.evaluate(self._request(question))
        if not verdict.allowed or verdict.line is None or self._counts(question, verdict.line):
            return verdict
        own = {Relation.SELF.value} if question.permission in _ENDS_OWN else set()
        fewer = question._replace(relations=question.relations & own)
        return self._enforcers.evaluate(self._request(fewer))

    def _decide(self, question: _Question) -> Decision:
        try:
            verdict = self._evaluate(question)
        except Exception:  # noqa: BLE001  # a failing engine must refuse, whatever it raises
            _log.exception("the policy engine failed on %s", question.permission)
            return refused(question.permission, "The policy engine failed, so it is refused.")
        if verdict.line is None:
            lines = self.lines(question.permission)
            decision = unmatched(question.permission, lines, question.team, question.data_class)
        else:
            decision = matched(question.permission, verdict.line)
        if len(self._decisions) >= MAX_CACHED_DECISIONS:
            self._decisions = {}
        self._decisions[question] = decision
        return decision

    def _unnamed_team(self) -> str:
        name = "elsewhere"
        while name in self._teams:
            name += "-x"
        return name

    def _valid_lines(self, record: PolicyRecord) -> Iterable[PolicyLine]:
        for rule in record.rules:
            try:
                yield PolicyLine.of(rule.fields, note=rule.note, source=rule.source)
            except ValueError as error:
                self._set_broken(rule.fields, f"{rule.source}: {error}")

    def _set_broken(self, fields: tuple[str, ...], why: str) -> None:
        """Refuse the permission of a broken line, or all if that cannot be read.

        A permission that this version of the platform does not know needs no refusal.
        """
        permission = fields[2] if len(fields) == len(LINE_FIELDS) else ANY
        if permission == ANY or permission in PERMISSIONS:
            self._broken[permission] = why

    def _make(self, model: str, lines: list[PolicyLine]) -> Enforcers:
        try:
            return Enforcers(model, lines, self.memberships.has_role)
        except Exception as error:  # noqa: BLE001  # an unreadable model must refuse
            _log.exception("the policy model cannot be read")
            self._broken[ANY] = f"the model: {type(error).__name__}"
            return Enforcers("", (), self.memberships.has_role)


def _asker(actor: Actor) -> Hashable:
    """All of an actor that a decision depends on."""
    return actor.subject, actor.kind, actor.scopes, actor.bound_to, actor.machine_of


def _bound_elsewhere(actor: Actor, permission: str, team: str) -> str | None:
    """Why a credential does not count in this team; None if it does, or is bound to none."""
    reads = actor.machine_of is not None and permission in _READ_ELSEWHERE
    if actor.bound_to in {None, team} or reads:
        return None
    return f"The credential that was sent is bound to the team {actor.bound_to}."


def _split(relations: Collection[str]) -> tuple[frozenset[str], frozenset[str]]:
    """The actor's own relations, and these with those that only count against it."""
    own = frozenset(each for each in relations if not each.startswith(AGAINST_PREFIX))
    return own, frozenset(each.removeprefix(AGAINST_PREFIX) for each in relations)


def _valid_network_lines(record: PolicyRecord) -> Iterable[NetworkLine]:
    """The network lines; one that cannot be read allows nothing."""
    for rule in record.network:
        try:
            yield NetworkLine.of(rule.fields, note=rule.note, source=rule.source)
        except ValueError as error:
            _log.warning("%s is left out: %s", rule.source, error)


def _step_up_lines(record: PolicyRecord) -> Iterable[StepUpLine]:
    """The lines of where a fresh sign-in is asked; one that cannot be read asks for it always."""
    for rule in record.step_up:
        try:
            yield StepUpLine.of(rule.fields, note=rule.note, source=rule.source)
        except ValueError as error:
            _log.warning("%s asks for a fresh sign-in everywhere: %s", rule.source, error)
            yield StepUpLine.broken(rule.source)
