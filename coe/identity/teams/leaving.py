"""Leave no access and no open work behind: what happens when somebody is in no team any more.

Whichever source took them out: tokens, sessions and keys of machines end and open tasks go to
others, in the transaction of the change.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from sqlalchemy import delete, func, select
from sqlmodel import col

from coe.access import tokens
from coe.access.actor import ActorKind, subject_kind
from coe.access.decision import Decision
from coe.access.machine_models import EnrolmentCode, MachineClient, TrustRule, WorkerKey
from coe.access.machines import MachineRow, credential_of, end_credential
from coe.access.models import Membership
from coe.access.policy import Policy
from coe.access.records import read_policy
from coe.audit.events import Tag
from coe.human_tasks.reassignment import Reassigned, reassign_tasks
from coe.identifiers import PLATFORM_TEAM, is_worker, team_of_worker
from coe.identity.models import Session
from coe.identity.session_endings import end_sessions
from coe.json_types import JSON
from coe.work import Work


async def settle_leavers(
    work: Work,
    subjects: Collection[str],
    *,
    why: str,
    decision: Decision | None = None,
    held: Mapping[str, Collection[tuple[str, str]]] | None = None,
) -> None:
    """End what subjects have that are in no team now: tokens, sessions, keys, and open tasks.

    Call it in the transaction of the change, after it; `work.policy` is the one before. Each leaver
    is recorded, with what was ended and given to others.

    Args:
        work: The transaction of the change.
        subjects: Who may have left; those who are in a team are left alone.
        why: The reason, for the log.
        decision: What allowed the change.
        held: The roles, as (role, team), that the subjects held until now, where `work.policy` does
            not know them.
    """
    if not subjects:
        return
    after = await _policy_after(work)
    for subject in sorted(subjects):
        if subject not in after.memberships:
            roles = {*work.policy.roles(subject), *(held or {}).get(subject, ())}
            detail = await _settle(work, subject, after, roles, why="left")
            teams = {*work.policy.teams(subject), *(team for _, team in roles)}
            await work.record(
                Tag.ACCESS_PERSON_LEAVE,
                resource=f"person:{subject}",
                team=min(teams, default=PLATFORM_TEAM),
                decision=decision,
                reason=why,
                detail={"teams": [*sorted(teams)], **detail},
            )


async def settle_suspended(work: Work, subject: str) -> dict[str, JSON]:
    """End what somebody has whom the directory has suspended; what was done, for the log.

    A directory suspends who leaves, and deletes the account weeks later: until then no credential
    of theirs stays valid, and no task waits for them. Their memberships stay, for they may come
    back. Call it in the transaction of the change, after it; `work.policy` is the one before.
    """
    after = await _policy_after(work)
    rows = await work.session.scalars(
        select(Membership).where(func.lower(col(Membership.subject)) == subject.lower())
    )
    # whom somebody here has suspended before has no roles in the policy
    roles = {(role, row.team) for row in rows for role in (*row.roles, *row.granted) if role}
    return await _settle(work, subject, after, roles | work.policy.roles(subject), why="suspended")


async def _policy_after(work: Work) -> Policy:
    """The policy as the transaction leaves it."""
    record = await read_policy(work.session)
    return Policy(replace(record, version=f"{record.version}-uncommitted"), now=work.now)


async def _settle(
    work: Work, subject: str, after: Policy, roles: Collection[tuple[str, str]], *, why: str
) -> dict[str, JSON]:
    """End and hand over what one subject has; what was done, for the log."""
    ended = await end_tokens(work, subject)
    theirs = col(Session.subject) == subject
    sessions = await end_sessions(
        work.session, theirs, by=work.actor.subject, why=why, now=work.now
    )
    machines: list[str] = []
    if is_worker(subject):
        machines = await end_machines(work, team_of_worker(subject), workers_only=True)
    tasks: tuple[Reassigned, ...] = ()
    if subject_kind(subject) is ActorKind.PERSON:
        tasks = await reassign_tasks(work, subject, roles, after)
    return {
        "tokens": [*ended],
        "sessions": len(sessions),
        "machines": [*machines],
        "tasks": [_plain(each) for each in tasks],
    }


async def end_tokens(work: Work, subject: str) -> list[str]:
    """Revoke all tokens of a subject, and all that were issued with them; their ids."""
    revoked = await tokens.revoke_of_subject(work.session, subject, now=work.now)
    return sorted(str(each) for each in revoked)


async def end_machines(work: Work, team: str, *, workers_only: bool = False) -> list[str]:
    """End the credentials of a team's machines, and its codes for enrolment; which they were.

    Those of its workers end when these leave the team, those of all its machines with the team.
    """
    models: tuple[type[MachineRow], ...] = (WorkerKey, MachineClient, TrustRule)
    rows: list[MachineRow] = []
    for model in models[:1] if workers_only else models:
        in_force = col(model.team) == team, col(model.revoked_at).is_(None)
        rows += await work.session.scalars(select(model).where(*in_force).with_for_update())
    for row in rows:
        end_credential(row, by=work.actor.subject, now=work.now)
    await work.session.flush()
    unused = col(EnrolmentCode.team) == team, col(EnrolmentCode.used_at).is_(None)
    await work.session.execute(delete(EnrolmentCode).where(*unused))
    return sorted(credential_of(row) for row in rows)


def _plain(task: Reassigned) -> JSON:
    return {"task": str(task.task), "to": task.to}
