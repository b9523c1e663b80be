"""What a refusal says of how to get access: the command with which a person asks for it."""

from __future__ import annotations

from coe.access.actor import Actor, ActorKind, DataClass
from coe.access.decision import Decision
from coe.access.permissions import lacking_scope
from coe.access.policy import Policy


def explain_refusal(
    policy: Policy, actor: Actor, decision: Decision, team: str, data_class: DataClass
) -> str:
    """Why a decision refuses, and how to ask for access where a role of the team would help."""
    return decision.explanation + how_to_ask(policy, actor, decision, team, data_class)


def how_to_ask(
    policy: Policy, actor: Actor, decision: Decision, team: str, data_class: DataClass
) -> str:
    """A sentence with the command; empty where no role of the team would help this actor.

    A role that one person gives comes before one that two people give. Who is in no team learns
    nothing from it of whether there is such a team.
    """
    if decision.rules or actor.kind is not ActorKind.PERSON:
        return ""
    if lacking_scope(decision.permission, actor.scopes):
        return ""
    if actor.subject in policy.memberships and not policy.names(team):
        return ""
    roles = policy.enabling_roles(decision.permission, team, data_class)
    if not roles:
        return ""
    role = min(roles, key=lambda each: bool(policy.needs_approval(team, [each])))
    return f" Ask for it: coe team request {team} --role {role} --reason …"
