"""People and services as what a verb is about: their teams, and the actor's relation to them."""

from __future__ import annotations

from typing import Any

from coe.access.actor import Actor, ActorKind
from coe.access.permissions import Permission
from coe.access.persons import relation
from coe.access.policy import Policy
from coe.access.policy_lines import Relation
from coe.identifiers import PLATFORM_TEAM, WORKER_ROLE, is_worker
from coe.work import Read


def team_of_subject(policy: Policy, subject: str) -> str:
    """The team that answers for a person or a service: its first, else the platform's."""
    return min(policy.teams(subject), default=PLATFORM_TEAM)


def answering_team(read: Read, subject: str, bound: str | None, permission: Permission) -> str:
    """The team that answers for a credential: the one it is bound to, or one of its subject's.

    Of several it is the first in which the actor holds the permission, else the first.
    """
    if bound is not None:
        return bound
    relations = relations_to_subject(read, subject)
    for team in sorted(read.policy.teams(subject)):
        if read.decide(permission, team=team, relations=relations).allowed:
            return team
    return team_of_subject(read.policy, subject)


def relations_to_subject(read: Read, subject: str) -> frozenset[str]:
    """The actor's relation to a subject: SELF, WORKER, PROXY for a person, or none.

    A service of the platform counts as a person here: it needs no token, and a token in its name
    could read and report every run.
    """
    if subject == read.actor.subject:
        return frozenset({Relation.SELF.value})
    if is_worker(subject):
        return frozenset({Relation.WORKER.value})
    is_person = read.policy.memberships.kind(subject) is ActorKind.PERSON
    platform_roles = {role for role, team in read.policy.roles(subject) if team == PLATFORM_TEAM}
    is_proxy = is_person or bool(platform_roles - {WORKER_ROLE})
    return frozenset({Relation.PROXY.value}) if is_proxy else frozenset()


def proposal_relations(actor: Actor, proposal: Any) -> frozenset[str]:
    """The actor's relations to the row of a proposed change of a team's members."""
    proposer = relation(actor, Relation.PROPOSER, proposal.proposed_by, proposal.persons)
    return frozenset(proposer | relation(actor, Relation.SELF, proposal.subject, ()))
