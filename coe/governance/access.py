"""Load the policy, explain one of its decisions, and review the access to a team's namespace.

The pure parts are in `coe.access.explain`. The verbs are here because they require and record,
which `coe.work` does, above `coe.access`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from coe.access import people
from coe.access.actor import Actor
from coe.access.decision import Decision, refused
from coe.access.explain import Grant, explain, review_grants
from coe.access.load import LoadedPolicy, load_access_files
from coe.access.models import Team
from coe.access.permissions import PERMISSIONS, Permission
from coe.access.scope import AccessScope
from coe.access.step_up import StepUpLine
from coe.audit.events import Tag
from coe.errors import Invalid, NotFound, Problem
from coe.governance import resources
from coe.governance.subjects import relations_to_subject
from coe.identifiers import PLATFORM_TEAM
from coe.language.suggestions import did_you_mean
from coe.work import Read, Work


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


async def explain_access(
    work: Work, subject: str, permission: str, resource: str, *, credential: str | None = None
) -> Decision:
    """Explain why a subject may or may not do something with a thing; the question is recorded.

    The answer is what the verb decides. For the asker it is that of the credential that was sent;
    for another it is that of a token with all scopes, or of `credential`, named as in the log:
    `token:<uuid>`, `worker:<uuid>`, `client:<uuid>` or `trust:<uuid>`.

    Raises:
        Forbidden: `access:explain` in the thing's team is refused.
        NotFound: The thing or the credential does not exist, or the asker may not know of it.
        Invalid: The permission, the subject or the resource is not valid, or no verb asks for the
            permission on such a thing.
    """
    if permission not in PERMISSIONS:
        message = f"there is no permission {permission!r}{did_you_mean(permission, PERMISSIONS)}"
        raise Invalid([Problem("INPUT_PERMISSION", message, path="/permission")])
    actor, refused_for = await _actor(work, subject, credential)
    theirs = replace(work, actor=actor)
    thing = await resources.find_thing(work, resource, theirs, Permission(permission))
    decision = work.require(
        Permission.ACCESS_EXPLAIN,
        resource=resource,
        team=thing.team,
        relations=relations_to_subject(work, subject),
    )
    sent = actor is work.actor or credential is not None
    known = work.scope(Permission.ENTRY_READ)
    explained = await answer(theirs, thing, known=known, sent=sent)
    if refused_for is not None:
        explained = refused(permission, refused_for)
    await work.record(
        Tag.ACCESS_DECISION_EXPLAIN,
        resource=resource,
        team=thing.team,
        decision=decision,
        detail={"subject": subject, "permission": permission, "allowed": explained.allowed},
    )
    return explained


async def _actor(work: Work, subject: str, credential: str | None) -> tuple[Actor, str | None]:
    """The actor whose access is explained, and why its credential is refused if it is."""
    if credential is None:
        if subject == work.actor.subject:
            return work.actor, None
        try:
            return Actor.of(subject), None
        except ValueError as error:
            raise Invalid([Problem("INPUT_SUBJECT", str(error), path="/subject")]) from None
    found = await resources.find_credential_of(work, subject, credential)
    if found is None:
        raise NotFound
    return found


async def answer(
    theirs: Read, thing: resources.Thing, *, known: AccessScope, sent: bool
) -> Decision:
    """What a verb decides for an actor: the first refusal of its questions, else the last answer.

    With `sent` the actor has the credential that the verb would get. Otherwise it may sign in
    afresh, and is told that it has to.
    """
    try:
        await people.admit(theirs.session, theirs.actor)
    except people.InactivePerson as inactive:
        why = f"The account of {inactive.subject} is {inactive.state.lower()}."
        return refused(thing.questions[-1].permission, why)
    asked = thing.questions[-1]
    for question in thing.questions:
        asked, (decision, relations) = question, question.decide(theirs)
        if not decision.allowed:
            break
    explained = explain(
        theirs.policy,
        theirs.actor,
        asked.permission,
        team=asked.team,
        data_class=asked.data_class,
        relations=relations,
        known=known,
    )
    if asked.any_of or not explained.allowed:
        return explained
    line = theirs.step_up_for(asked.permission, team=asked.team, data_class=asked.data_class)
    return explained if line is None else _asking_for_sign_in(explained, line, sent=sent)


def _asking_for_sign_in(found: Decision, line: StepUpLine, *, sent: bool) -> Decision:
    why = f"{found.explanation} It takes a sign-in at most {line.minutes} minutes old ({line})."
    rules = (str(line), *found.rules) if sent else found.rules
    return replace(found, allowed=not sent, rules=rules, explanation=why)


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
