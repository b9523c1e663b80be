"""Workers of teams: one-time codes with which they enrol, their keys, and the end of a key.

A lead makes a code and gives it to whoever sets up the worker. The worker makes a key pair, of
which the private half never leaves it, and sends the public half with the code and a proof that it
has the private one. From then on it signs in with its key (`coe.identity.sign_in`).
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, and_, delete, not_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from coe.access.actor import Actor
from coe.access.decision import Decision
from coe.access.machine_models import EnrolmentCode, WorkerKey
from coe.access.machines import (
    WORKER,
    MachineKeys,
    end_credential,
    is_access_token,
    machine_actor,
)
from coe.access.models import Team
from coe.access.permissions import Permission
from coe.audit.events import AuditOutcome, Tag
from coe.crypto import jose
from coe.db import new_id
from coe.db.newest_first import newest_first
from coe.errors import Conflict, Invalid, NotFound, Problem, Unauthenticated
from coe.identifiers import PLATFORM_TEAM, WORKER_ROLE, worker_subject
from coe.identity.teams.checks import find_team
from coe.paging import Page
from coe.rate_limits import Limited
from coe.work import Platform, RequestInfo, Work, check_reason

CODE_PREFIX: Final = "coew_"
CODE_LIFE: Final = timedelta(minutes=30)
KEY_LIFE: Final = timedelta(days=366)
PROOF: Final = "coe-enrolment+jwt"
"""The type of the proof of possession: a token that the new key signs, with the key in it."""
PROOF_SECONDS: Final = 300.0
"""How old a proof may be, and how far ahead of our clock."""
ENROLMENT: Final = Actor.of("service:enrolment", display_name="A worker that wants to enrol")

_CODE_BYTES: Final = 24
_CURSOR: Final = "workers"
_MAX_CODE: Final = 100
_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._ -]{0,98}[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A worker's identity: the id of its key, its team and subject, and whom it signs in to."""

    credential: str
    team: str
    subject: str
    issuer: str
    expires_at: datetime


class WrongCode(Unauthenticated):
    """This code is unknown, used, expired or of another team: ask a lead of the team for one."""


async def create_enrolment_code(work: Work, team: str) -> tuple[str, EnrolmentCode]:
    """Make a one-time code with which a worker of a team enrols within half an hour.

    Returns:
        The code, of which only an HMAC is kept, and its row.

    Raises:
        NotFound: There is no such team.
        Forbidden: `worker:enrol` in the team is refused.
        Conflict: No worker is a member of the team, or the team is retired.
    """
    decision = work.require(Permission.WORKER_ENROL, resource=f"team:{team}", team=team)
    return await _create(work, team, decision)


async def create_enrolment_code_as_operator(work: Work, team: str) -> tuple[str, EnrolmentCode]:
    """Make a code without a permission, as the operator who holds the database and its keys.

    The lead of a new installation has no token yet. No API leads here.

    Raises:
        NotFound: There is no such team.
        Conflict: No worker is a member of the team.
    """
    return await _create(work, team, None)


async def enrol_worker(
    platform: Platform, *, team: str, code: str, proof: str, name: str, request: RequestInfo
) -> Enrolled:
    """Register the public key of a worker that has a code, and use the code up.

    A worker whose answer was lost sends the same again, and gets the same answer.

    Args:
        platform: The installation.
        team: The team whose worker it is to be.
        code: The one-time code, which is of this team.
        proof: A token of the type `PROOF`, signed by the new key, which is in its header (`jwk`),
            with the claims `iat` (now) and `code` (the SHA-256 of the code in hexadecimal).
        name: What the worker is called in lists, such as its host.
        request: Where it comes from.

    Raises:
        WrongCode: The code is unknown, used or expired; it is counted and recorded.
        RateLimited: The address has sent too many wrong codes.
        Invalid: The proof or the name is not good; the code can still be used.
        Conflict: The key is enrolled already.
    """
    try:
        async with platform.work(ENROLMENT, request) as work:
            row = await _lock_code(work, team, code)
            public = _public_key(proof, code, work.now)
            _check_name(name)
            return await _use(work, row, public, name)
    except WrongCode:
        await platform.limit(Limited.ENROLMENT, request)
        async with platform.work(ENROLMENT, request) as work:
            await _record_wrong_code(work)
        raise


async def list_workers(
    work: Work,
    team: str,
    *,
    active: bool | None = None,
    first: int = 20,
    after: str | None = None,
) -> Page[WorkerKey]:
    """The workers that enrolled for a team, the newest first; the reading is recorded.

    Args:
        work: The actor and its transaction.
        team: The team.
        active: Only those whose key is good now, or only those whose key is not.
        first: The size of the page.
        after: The cursor of a worker; the page begins after it.

    Raises:
        NotFound: There is no such team.
        Forbidden: `worker:read` in the team is refused.
        Invalid: The cursor is not one of this list, or `first` is not from 0 to 100.
    """
    resource = f"team:{team}"
    decision = work.require(Permission.WORKER_READ, resource=resource, team=team)
    await _check_team(work, team)
    good = and_(col(WorkerKey.revoked_at).is_(None), col(WorkerKey.expires_at) > work.now)
    wanted: list[ColumnElement[bool]] = [col(WorkerKey.team) == team]
    if active is not None:
        wanted.append(good if active else not_(good))
    at = col(WorkerKey.enrolled_at)
    found = await newest_first(
        work.session, WorkerKey, *wanted, at=at, cursor=_CURSOR, first=first, after=after
    )
    await work.record(Tag.ACCESS_WORKER_READ, resource=resource, team=team, decision=decision)
    return found


def is_active(row: WorkerKey, now: datetime) -> bool:
    """Whether a key is good at this time."""
    return row.revoked_at is None and row.expires_at > now


async def revoke_worker(work: Work, worker: UUID, reason: str) -> WorkerKey:
    """Make the key of a worker worthless from now on: its access tokens are refused at once.

    Raises:
        NotFound: There is no such worker, or the actor may not revoke it.
        Conflict: It is revoked already.
        Invalid: The reason is blank or too long.
    """
    found = await work.session.execute(
        select(WorkerKey).where(col(WorkerKey.id) == worker).with_for_update()
    )
    row = found.scalar_one_or_none()
    if row is None:
        raise NotFound
    resource = f"{WORKER}:{worker}"
    decision = work.require(Permission.WORKER_REVOKE, resource=resource, team=row.team, hide=True)
    check_reason(reason)
    if row.revoked_at is not None:
        raise Conflict("the key of this worker is revoked already")
    end_credential(row, by=work.actor.subject, now=work.now)
    await work.session.flush()
    await work.record(
        Tag.ACCESS_WORKER_REVOKE,
        resource=resource,
        team=row.team,
        decision=decision,
        reason=reason,
        detail={"name": row.name, "enrolledBy": row.enrolled_by},
    )
    return row


async def forget_expired(session: AsyncSession, now: datetime) -> None:
    """Delete codes that were not used; the caller commits."""
    unused = col(EnrolmentCode.used_at).is_(None)
    await session.execute(delete(EnrolmentCode).where(unused, col(EnrolmentCode.expires_at) < now))


async def _create(work: Work, team: str, decision: Decision | None) -> tuple[str, EnrolmentCode]:
    await find_team(work, team)
    subject = worker_subject(team)
    if (WORKER_ROLE, team) not in work.policy.roles(subject):
        raise Conflict(
            f"{subject} is no member of {team} with the role {WORKER_ROLE}: what enrols as it could"
            " do nothing"
        )
    code = CODE_PREFIX + secrets.token_urlsafe(_CODE_BYTES)
    row = EnrolmentCode(
        id=new_id(),
        team=team,
        code_mac=work.platform.machines.code_macs(code)[0],
        created_by=work.actor.subject,
        created_at=work.now,
        expires_at=work.now + CODE_LIFE,
    )
    work.session.add(row)
    await work.session.flush()
    await work.record(
        Tag.ACCESS_ENROLMENT_CREATE,
        resource=f"enrolment:{row.id}",
        team=team,
        decision=decision,
        detail={"subject": subject},
    )
    return code, row


async def _check_team(work: Work, team: str) -> None:
    if await work.session.get(Team, team) is None:
        raise NotFound(f"there is no team {team}")


async def _lock_code(work: Work, team: str, code: str) -> EnrolmentCode:
    """The row of the code, which this transaction alone may use up."""
    if len(code) > _MAX_CODE:
        raise WrongCode
    kept = work.platform.machines.code_macs(code)
    found = await work.session.execute(
        select(EnrolmentCode).where(col(EnrolmentCode.code_mac).in_(kept)).with_for_update()
    )
    row = found.scalar_one_or_none()
    if row is None or row.team != team or row.expires_at <= work.now:
        raise WrongCode
    return row


async def _use(work: Work, row: EnrolmentCode, public: bytes, name: str) -> Enrolled:
    if row.worker is not None:
        before = await work.session.get(WorkerKey, row.worker)
        if before is None or before.public_key != public or not is_active(before, work.now):
            raise WrongCode
        return enrolled(work.platform.machines, before)
    key = await _insert_key(work, row, public, name)
    row.used_at, row.worker = work.now, key.id
    await work.session.flush()
    acting = replace(work, actor=machine_actor(key))
    await acting.record(
        Tag.ACCESS_WORKER_ENROL,
        resource=f"{WORKER}:{key.id}",
        team=key.team,
        detail={"name": key.name, "enrolment": str(row.id)},
    )
    return enrolled(work.platform.machines, key)


async def _insert_key(work: Work, code: EnrolmentCode, public: bytes, name: str) -> WorkerKey:
    key = WorkerKey(
        id=new_id(),
        team=code.team,
        name=name,
        public_key=public,
        enrolled_by=code.created_by,
        enrolled_at=work.now,
        address=work.request.address,
        expires_at=work.now + KEY_LIFE,
        mac=b"",
    )
    values: dict[str, Any] = key.model_dump() | {"mac": work.platform.machines.mac(key)}
    inserted = await work.session.scalar(
        insert(WorkerKey)
        .values(**values)
        .on_conflict_do_nothing(index_elements=["public_key"])
        .returning(col(WorkerKey.id))
    )
    if inserted is None:
        raise Conflict("this key is enrolled already: make a new one")
    return WorkerKey(**values)


def enrolled(machines: MachineKeys, key: WorkerKey) -> Enrolled:
    """What a worker is told of its key."""
    return Enrolled(
        credential=f"{WORKER}:{key.id}",
        team=key.team,
        subject=worker_subject(key.team),
        issuer=machines.issuer,
        expires_at=key.expires_at,
    )


def _public_key(proof: str, code: str, now: datetime) -> bytes:
    """The key that signed the proof.

    Raises:
        Invalid: It is no proof of this code, or not a fresh one.
    """
    try:
        public = jose.key_in_header(proof) if is_access_token(proof) else b""
        claims = jose.verify_with_key(proof, public, typ=PROOF).claims
    except ValueError as error:
        raise Invalid([Problem("INPUT_PROOF", str(error), path="/proof")]) from None
    at, meant = claims.get("iat"), claims.get("code")
    fresh = isinstance(at, int | float) and abs(now.timestamp() - at) <= PROOF_SECONDS
    if not fresh or meant != hashlib.sha256(code.encode()).hexdigest():
        message = "the proof is not of this code, or not of now: check the worker's clock"
        raise Invalid([Problem("INPUT_PROOF", message, path="/proof")])
    return public


def _check_name(name: str) -> None:
    if _NAME.fullmatch(name) is None:
        message = "a worker's name has 1 to 100 letters, digits, spaces, dots, hyphens, underscores"
        raise Invalid([Problem("INPUT_WORKER_NAME", message, path="/name")])


async def _record_wrong_code(work: Work) -> None:
    await work.record(
        Tag.ACCESS_ENROLMENT_REFUSE,
        resource="enrolment:unknown",
        team=PLATFORM_TEAM,
        reason="The code is unknown, used or expired.",
        outcome=AuditOutcome.DENIED,
    )
