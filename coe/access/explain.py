"""Explanations of decisions, and reviews of who may do what in a team."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from coe.access.actor import Actor, ActorKind, DataClass
from coe.access.decision import Decision
from coe.access.permissions import Permission
from coe.access.persons import AGAINST_PREFIX
from coe.access.policy import Policy
from coe.access.policy_lines import (
    ANY,
    KIND_PREFIX,
    RELATION_PREFIX,
    DerivedRole,
    Effect,
    PolicyLine,
)
from coe.access.scope import ALL_CLASSES, AccessScope

EVERYTHING: Final = AccessScope(ALL_CLASSES)
"""What an asker may read who may read all."""


@dataclass(frozen=True, slots=True, order=True)
class Grant:
    """One row of an access review: a permission that a subject has in a team.

    `subject` is a person, a service, or a group without a list of members: `everyone`, `employee`,
    `relation:requester`, `kind:run`. `via` is the policy line as written; `resource` is what it
    covers: the team, and the data class or `*`.
    """

    subject: str
    permission: str
    via: str
    resource: str


def explain(
    policy: Policy,
    actor: Actor,
    permission: str,
    *,
    team: str,
    data_class: DataClass = DataClass.INTERNAL,
    relations: Collection[str] = (),
    known: AccessScope = EVERYTHING,
) -> Decision:
    """The decision for an actor, with every matching line and the roles of its subject.

    The deciding line comes first. Of the roles those are named that are held in teams of `known`.
    """
    decision = policy.decide(
        actor, permission, team=team, data_class=data_class, relations=relations
    )
    matched = policy.matching(
        actor, permission, team=team, data_class=data_class, relations=relations
    )
    others = tuple(str(line) for line in matched if str(line) != decision.rule)
    holds = _roles_sentence(policy, actor.subject, relations, known)
    return Decision(
        allowed=decision.allowed,
        permission=decision.permission,
        rules=(*decision.rules, *others),
        explanation=f"{decision.explanation} {holds}",
    )


def review_grants(policy: Policy, team: str) -> list[Grant]:
    """Who may do what with the resources of a team, each with the line that allows it.

    A person or service is listed for its roles, unless a deny line overrides the grant. What
    everyone, every employee, or everybody with a relation to a resource may do is one row for the
    group.
    """
    return sorted(
        {
            Grant(subject, line.permission, str(line), f"team:{team}/{line.data_class}")
            for permission in Permission
            for line in policy.lines(permission)
            if line.effect is Effect.ALLOW and line.team in {ANY, team}
            for subject in _subjects(policy, line, team)
            if _is_effective(policy, subject, line, team)
        }
    )


def who_may(
    policy: Policy,
    permission: Permission,
    *,
    team: str,
    data_class: DataClass,
    relations: Mapping[str, Collection[str]],
) -> list[tuple[str, str]]:
    """The people who have a permission on one resource, each with the role that allows it.

    `relations` are those of subjects to the resource. A role is `team/role`, a relation
    `relation:owner`, a group `everyone`. Services are left out: nobody can ask them.
    """
    found: dict[str, str] = {}
    for line in policy.lines(permission):
        if line.effect is not Effect.ALLOW or line.team not in {ANY, team}:
            continue
        if line.data_class not in {ANY, data_class.value}:
            continue
        for subject in _people(policy, line, team, relations):
            actor = Actor.of(subject)
            decision = policy.decide(
                actor,
                permission,
                team=team,
                data_class=data_class,
                relations=relations.get(subject, ()),
            )
            if decision.allowed:
                found.setdefault(subject, _via(line, team))
    return sorted(found.items())


def _people(
    policy: Policy, line: PolicyLine, team: str, relations: Mapping[str, Collection[str]]
) -> Iterator[str]:
    relation = line.subject.removeprefix(RELATION_PREFIX)
    if line.subject.startswith(RELATION_PREFIX):
        candidates: Iterable[str] = (each for each, of in relations.items() if relation in of)
    elif line.subject in {DerivedRole.EVERYONE, DerivedRole.EMPLOYEE}:
        candidates = policy.memberships
    else:
        candidates = _subjects(policy, line, team)
    kind_of = policy.memberships.kind
    yield from (each for each in candidates if kind_of(each) is ActorKind.PERSON)


def _via(line: PolicyLine, team: str) -> str:
    if line.role is None:
        return line.subject
    role, where = line.role
    return f"{team if where == ANY else where}/{role}"


def _subjects(policy: Policy, line: PolicyLine, team: str) -> Iterator[str]:
    if line.role is None:
        if line.subject == DerivedRole.MEMBER:
            people = (each for each in policy.memberships if team in policy.teams(each))
            yield from (each for each in people if ":" not in each)
        else:
            yield line.subject
        return
    role, where = line.role
    yield from policy.memberships.holders(f"{team if where == ANY else where}/{role}")


def _is_effective(policy: Policy, subject: str, line: PolicyLine, team: str) -> bool:
    """Whether the decision agrees with the line; a group has no decision to compare."""
    if subject in {DerivedRole.EVERYONE, DerivedRole.EMPLOYEE} or subject.startswith(
        (RELATION_PREFIX, KIND_PREFIX)
    ):
        return True
    actor = Actor.of(subject)
    classes = tuple(DataClass) if line.data_class == ANY else (DataClass(line.data_class),)
    return all(
        policy.decide(actor, line.permission, team=team, data_class=each).allowed
        for each in classes
    )


def _roles_sentence(
    policy: Policy, subject: str, relations: Collection[str], known: AccessScope
) -> str:
    held = policy.roles(subject)
    roles = sorted(f"{team}/{role}" for role, team in held if known.allows(team))
    somewhere = "is in no team" if known is EVERYTHING else "holds no role that you may know of"
    holds = f"{subject} holds {', '.join(roles)}" if roles else f"{subject} {somewhere}"
    own = sorted(each for each in relations if not each.startswith(AGAINST_PREFIX))
    others = sorted(each.removeprefix(AGAINST_PREFIX) for each in relations if each not in own)
    being = f" and is the resource's {', '.join(own)}" if own else ""
    one = f" and counts as one with its {', '.join(others)}" if others else ""
    return f"{holds}{being}{one}."
