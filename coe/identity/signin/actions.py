"""The verbs of sign-in: sign in, prove afresh, sign out, and end the sessions of others."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import select
from sqlmodel import col

from coe.access.actor import Actor
from coe.access.decision import Decision
from coe.access.models import Person
from coe.access.permissions import Permission
from coe.audit.events import AuditOutcome, Tag
from coe.db.newest_first import newest_first
from coe.errors import Conflict, NotFound
from coe.formats import uuids
from coe.governance.subjects import answering_team, relations_to_subject, team_of_subject
from coe.identifiers import PLATFORM_TEAM
from coe.identity.models import Session
from coe.identity.session_endings import end_sessions
from coe.identity.signin import accounts, sessions
from coe.identity.signin.errors import SignInRefused
from coe.identity.signin.id_token import SKEW_SECONDS, Identity, Logout
from coe.identity.signin.issuers import Issuers
from coe.identity.signin.pending import Pending
from coe.json_types import JSON
from coe.paging import Page
from coe.work import Platform, Read, RequestInfo, Work, check_reason

SIGN_IN: Final = Actor.of("service:sign-in", display_name="The sign-in")
"""Who acts until it is known who signed in."""
_CURSOR: Final = "sessions"


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Who signed in, and the value of the cookie of the new session."""

    subject: str
    cookie: str


async def sign_in(
    work: Work,
    issuers: Issuers,
    pending: Pending,
    identity: Identity,
    *,
    client: str | None = None,
    previous: str | None = None,
) -> SignedIn:
    """Open a session for who signed in; a session that the browser had before ends.

    Their account is made at the first sign-in, and their memberships follow their groups. Where
    `pending` is of a session, the person proves afresh who they are.

    Args:
        work: Its actor becomes the person.
        issuers: Those of the operator's file.
        pending: What was begun in this browser.
        identity: Who the issuer says it is.
        client: The browser, as it calls itself.
        previous: The id of the session that the browser had, if it had one.

    Raises:
        SignInRefused: Nobody was signed in, and nothing was changed.
    """
    issuer = issuers.find(pending.issuer)
    if pending.session is not None:
        await sessions.find_own(work.session, pending.session, identity)
        accounts.check_fresh(issuer, pending, identity)
    person, fresh = await accounts.find_or_make(work, issuers, pending.issuer, identity)
    work.actor = Actor.of(person.subject, display_name=person.display_name)
    if fresh:
        await _record(work, Tag.ACCESS_ACCOUNT_CREATE, f"person:{person.subject}", _origin(person))
    changes = await accounts.renew_memberships(
        work, pending.issuer, issuer, person, identity.claims
    )
    if changes is not None and changes.any:
        await _record(work, Tag.ACCESS_MEMBERSHIP_RENEW, f"person:{person.subject}", changes.detail)
    replaced = [each for each in (pending.session, previous) if each is not None]
    if replaced:
        await end_sessions(
            work.session,
            col(Session.id).in_(map(uuids.read, replaced)),
            by=person.subject,
            why="replaced",
            now=work.now,
        )
    cookie, row = await sessions.open_session(
        work.session,
        work.platform.macs,
        subject=person.subject,
        identity=identity,
        issuer=issuer,
        settings=work.platform.settings,
        now=work.now,
        request=work.request,
        client=client,
    )
    tag = Tag.ACCESS_SESSION_OPEN if pending.session is None else Tag.ACCESS_SESSION_RENEW
    detail: JSON = {"issuer": pending.issuer, "acr": row.acr, "amr": list(row.amr)}
    await _record(work, tag, f"session:{row.id}", detail)
    return SignedIn(person.subject, cookie)


async def refuse_sign_in(
    platform: Platform, issuer: str, refused: SignInRefused, about: RequestInfo
) -> None:
    """Record that nobody was signed in, and why."""
    async with platform.work(SIGN_IN, about) as work:
        detail = f" ({refused.detail})" if refused.detail else ""
        await work.record(
            Tag.ACCESS_LOGIN_REFUSE,
            resource=f"issuer:{issuer}",
            team=PLATFORM_TEAM,
            outcome=AuditOutcome.DENIED,
            reason=f"{refused.reason.value}{detail}",
        )


async def sign_out(work: Work, *, everywhere: bool = False) -> int:
    """End the session of the actor, or all of them; return how many ended.

    Raises:
        Conflict: The actor has no session: it is a token.
    """
    current = work.actor.sign_in
    if current is None:
        raise Conflict("There is no session to sign out of: a token is revoked instead.")
    mine = col(Session.subject) == work.actor.subject
    which = mine if everywhere else mine & (col(Session.id) == current.session)
    ended = await end_sessions(
        work.session, which, by=work.actor.subject, why="sign-out", now=work.now
    )
    for row in ended:
        await _record(work, Tag.ACCESS_SESSION_CLOSE, f"session:{row.id}", {"at": "platform"})
    return len(ended)


async def sign_out_from_issuer(work: Work, issuer: str, url: str, logout: Logout) -> int:
    """End the sessions of who signed out at the issuer; return how many ended.

    Sessions that were opened after the issuer wrote the token stay, so that it cannot be used
    against a later one.
    """
    where = [
        col(Session.issuer) == url,
        col(Session.created_at) <= logout.at + timedelta(seconds=SKEW_SECONDS),
    ]
    if logout.issuer_session is not None:
        where.append(col(Session.issuer_session) == logout.issuer_session)
    if logout.external_id is not None:
        where.append(col(Session.external_id) == logout.external_id)
    ended = await end_sessions(
        work.session, *where, by=work.actor.subject, why="issuer", now=work.now
    )
    for row in ended:
        await work.record(
            Tag.ACCESS_SESSION_CLOSE,
            resource=f"session:{row.id}",
            team=team_of_subject(work.policy, row.subject),
            detail={"at": "issuer", "issuer": issuer, "subject": row.subject},
        )
    return len(ended)


async def revoke_session(work: Work, session_id: UUID, reason: str) -> Session:
    """End a session of the actor, or of somebody whom it may sign out.

    Raises:
        NotFound: There is no such session, or the actor may not end it.
        Conflict: It has ended already.
        Invalid: The reason is blank or too long.
    """
    row = await work.session.get(Session, session_id)
    if row is None:
        raise NotFound
    decision, team = _require(work, row.subject, resource=f"session:{session_id}")
    check_reason(reason)
    ended = await end_sessions(
        work.session,
        col(Session.id) == session_id,
        by=work.actor.subject,
        why="revoked",
        now=work.now,
    )
    if not ended:
        raise Conflict("The session has already ended.")
    await work.record(
        Tag.ACCESS_SESSION_REVOKE,
        resource=f"session:{session_id}",
        team=team,
        decision=decision,
        reason=reason,
        detail={"subject": row.subject},
    )
    return ended[0]


async def revoke_sessions(work: Work, subject: str, reason: str) -> int:
    """End every session of a person; return how many ended.

    Raises:
        NotFound: The actor may not end their sessions.
        Invalid: The reason is blank or too long.
    """
    decision, team = _require(work, subject, resource=f"person:{subject}")
    check_reason(reason)
    ended = await end_sessions(
        work.session,
        col(Session.subject) == subject,
        by=work.actor.subject,
        why="revoked",
        now=work.now,
    )
    await work.record(
        Tag.ACCESS_SESSION_REVOKE,
        resource=f"person:{subject}",
        team=team,
        decision=decision,
        reason=reason,
        detail={"sessions": [str(row.id) for row in ended]},
    )
    return len(ended)


async def list_sessions(
    read: Read,
    *,
    subject: str | None = None,
    first: int = 20,
    after: str | None = None,
) -> Page[Session]:
    """The open sessions of the actor, and of those whom it may sign out, the newest first.

    Args:
        read: The actor and its session.
        subject: Only those of this person.
        first: The size of the page.
        after: The cursor of a session; the page begins after it.

    Raises:
        Invalid: The cursor is not one of this list, or `first` is not from 0 to 100.
    """
    open_now = sessions.open_clause(read.platform.settings, read.now)
    known = (
        [subject]
        if subject is not None
        else list(
            await read.session.scalars(select(col(Session.subject)).where(open_now).distinct())
        )
    )
    theirs = open_now & col(Session.subject).in_([each for each in known if _may_end(read, each)])
    at = col(Session.created_at)
    return await newest_first(
        read.session, Session, theirs, at=at, cursor=_CURSOR, first=first, after=after
    )


def _may_end(read: Read, subject: str) -> bool:
    if subject == read.actor.subject:
        return True
    team = answering_team(read, subject, None, Permission.SESSION_REVOKE)
    relations = relations_to_subject(read, subject)
    return read.decide(Permission.SESSION_REVOKE, team=team, relations=relations).allowed


def _require(work: Work, subject: str, *, resource: str) -> tuple[Decision, str]:
    """Require the right to end a person's sessions, in the team of theirs that decides."""
    team = answering_team(work, subject, None, Permission.SESSION_REVOKE)
    decision = work.require(
        Permission.SESSION_REVOKE,
        resource=resource,
        team=team,
        relations=relations_to_subject(work, subject),
        hide=True,
    )
    return decision, team


def _origin(person: Person) -> JSON:
    return {"source": person.source, "issuer": person.issuer}


async def _record(work: Work, tag: Tag, resource: str, detail: JSON) -> None:
    team = team_of_subject(work.policy, work.actor.subject)
    await work.record(tag, resource=resource, team=team, detail=detail)
