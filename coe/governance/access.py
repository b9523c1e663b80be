"""Load the policy, explain one of its decisions, and review the access to a team's namespace.

The pure parts are in `coe.access.explain`. The verbs are here because they require and record,
which `coe.work` does, above `coe.access`.
"""

from __future__ import annotations

from pathlib import Path

from coe.access.actor import ActorKind
from coe.access.decision import Decision
from coe.access.explain import Grant, explain, review_grants
from coe.access.load import LoadedPolicy, load_access_files
from coe.access.models import Team
from coe.access.permissions import PERMISSIONS, Permission
from coe.access.policy_lines import Relation
from coe.audit.events import Tag
from coe.errors import Invalid, NotFound, Problem
from coe.governance import resources
from coe.identifiers import PLATFORM_TEAM, WORKER_ROLE, is_worker
from coe.language.suggestions import did_you_mean
from coe.work import Read, Work

"""The role of a team's own worker, also in the platform's team."""


async def load_policy(work: Work, root: Path, *, accept_changes: bool = False) -> LoadedPolicy:
    """Load the access files below a folder; it is recorded if they changed something.

    It needs no permission: only the operator, who holds the database, calls it, and a new
    installation has no policy that could allow it.

    Raises:
        Invalid: The files have problems; nothing is changed.
        PolicyChanged: The policy in the database is not what was signed, and the files do not mend
            it; with `accept_changes` it is signed as it is.
    """
    loaded = await load_access_files(work.session, root, accept_changes=accept_changes)
    if loaded.changed:
        await work.record(
            Tag.ACCESS_POLICY_LOAD,
            resource="policy:content",
            team=PLATFORM_TEAM,
            detail={"version": loaded.version},
        )
    return loaded


async def explain_access(work: Work, subject: str, permission: str, resource: str) -> Decision:
    """Explain why a subject may or may not do something with a thing; the question is recorded.

    Raises:
        Forbidden: `access:explain` in the thing's team is refused.
        NotFound: The thing does not exist, or the asker may not read it.
        Invalid: The permission, the subject or the resource is not valid.
    """
    if permission not in PERMISSIONS:
        message = f"there is no permission {permission!r}{did_you_mean(permission, PERMISSIONS)}"
        raise Invalid([Problem("INPUT_PERMISSION", message, path="/permission")])
    try:
        thing = await resources.find_resource(work, resource, subject)
        decision = work.require(
            Permission.ACCESS_EXPLAIN,
            resource=resource,
            team=thing.team,
            relations=relations_to_subject(work, subject),
        )
        explained = explain(
            work.policy,
            subject,
            permission,
            team=thing.team,
            data_class=thing.data_class,
            relations=thing.relations,
        )
    except ValueError as error:
        problem = Problem("INPUT_SUBJECT", str(error), path="/subject")
        raise Invalid([problem]) from None
    await work.record(
        Tag.ACCESS_DECISION_EXPLAIN,
        resource=resource,
        team=thing.team,
        decision=decision,
        detail={"subject": subject, "permission": permission, "allowed": explained.allowed},
    )
    return explained


async def review_access(work: Work, team: str) -> list[Grant]:
    """List who may do what in a team's namespace; the review is recorded.

    Raises:
        NotFound: There is no such team.
        Forbidden: `access:review` in the team is refused.
    """
    if await work.session.get(Team, team) is None:
        raise NotFound
    resource = f"team:{team}"
    decision = work.require(Permission.ACCESS_REVIEW, resource=resource, team=team)
    await work.record(Tag.ACCESS_GRANTS_REVIEW, resource=resource, team=team, decision=decision)
    return review_grants(work.policy, team)


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
