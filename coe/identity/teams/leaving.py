"""Leave no access and no open work behind: what happens when somebody is in no team any more.

Whichever source took the person out: tokens and sessions end and open tasks go to others, in the
transaction of the change.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from sqlalchemy import update
from sqlmodel import col

from coe.access import tokens
from coe.access.actor import ActorKind, subject_kind
from coe.access.decision import Decision
from coe.access.policy import Policy
from coe.access.records import read_policy
from coe.audit.events import Tag
from coe.human_tasks.reassignment import Reassigned, reassign_tasks
from coe.identifiers import PLATFORM_TEAM
from coe.identity.models import Session
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
    """End what subjects have that are in no team now: tokens, sessions, and open tasks.

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
    record = await read_policy(work.session)
    after = Policy(replace(record, version=f"{record.version}-uncommitted"), now=work.now)
    for subject in sorted(subjects):
        if subject not in after.memberships:
            roles = {*work.policy.roles(subject), *(held or {}).get(subject, ())}
            detail = await _settle(work, subject, after, roles)
            teams = {*work.policy.teams(subject), *(team for _, team in roles)}
            await work.record(
                Tag.ACCESS_PERSON_LEAVE,
                resource=f"person:{subject}",
                team=min(teams, default=PLATFORM_TEAM),
                decision=decision,
                reason=why,
                detail={"teams": [*sorted(teams)], **detail},
            )


async def _settle(
    work: Work, subject: str, after: Policy, roles: Collection[tuple[str, str]]
) -> dict[str, JSON]:
    """End and hand over what one subject has; what was done, for the log."""
    ended = await end_tokens(work, subject)
    sessions = await end_sessions(work, subject, why="left")
    tasks: tuple[Reassigned, ...] = ()
    if subject_kind(subject) is ActorKind.PERSON:
        tasks = await reassign_tasks(work, subject, roles, after)
    return {
        "tokens": [*ended],
        "sessions": sessions,
        "tasks": [_plain(each) for each in tasks],
    }


async def end_tokens(work: Work, subject: str) -> list[str]:
    """Revoke all tokens of a subject, and all that were issued with them; their ids."""
    revoked = await tokens.revoke_of_subject(work.session, subject, now=work.now)
    return sorted(str(each) for each in revoked)


async def end_sessions(work: Work, subject: str, *, why: str) -> int:
    """End all sessions of a person; how many there were."""
    found = await work.session.scalars(
        update(Session)
        .where(
            col(Session.subject) == subject,
            col(Session.revoked_at).is_(None),
            col(Session.expires_at) > work.now,
        )
        .values(mac=b"", revoked_at=work.now, revoked_by=work.actor.subject, revoked_why=why)
        .returning(col(Session.id))
        .execution_options(synchronize_session="fetch")
    )
    return len(list(found))


def _plain(task: Reassigned) -> JSON:
    return {"task": str(task.task), "to": task.to}
