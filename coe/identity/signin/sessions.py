"""Sessions in the database: opened at a sign-in, checked at each request, ended for good.

A cookie is `<id>.<secret>`. The row keeps a code of the secret, the subject, the issuer and the
times, made with a key outside the database: whoever can only write the database can neither make a
session, nor give one to another person, nor make it last.
"""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, delete, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from coe.access.actor import Actor, SignIn
from coe.access.people import admit
from coe.crypto.mac import MacKeys, MacPurpose
from coe.db import new_id
from coe.errors import Unauthenticated
from coe.formats import instants, uuids
from coe.identity.models import Session
from coe.identity.session_endings import ENDED
from coe.identity.signin.errors import Reason, SignInRefused
from coe.identity.signin.id_token import Identity
from coe.identity.signin.issuers import Issuer, Issuers
from coe.settings import Settings
from coe.work import Platform, RequestInfo

SEEN_EVERY: Final = timedelta(minutes=1)
"""How exactly it is kept when a session was last used."""
_MAX_COOKIE: Final = 200
_MAX_CLIENT: Final = 200


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A session of the request: its actor, its row, and the token that its forms carry."""

    actor: Actor
    row: Session
    csrf: str


def idle_limit(settings: Settings) -> timedelta:
    """The time without a request after which a session ends."""
    return timedelta(minutes=settings.session_idle_minutes)


async def open_session(
    session: AsyncSession,
    macs: MacKeys,
    *,
    subject: str,
    identity: Identity,
    issuer: Issuer,
    settings: Settings,
    now: datetime,
    request: RequestInfo,
    client: str | None,
) -> tuple[str, Session]:
    """Open a session for a person who signed in; the caller commits.

    Returns:
        The value of its cookie, which is not kept, and its row.
    """
    secret = secrets.token_urlsafe(32)
    # Where the issuer does not say when, the person proved it at the earliest that was asked for.
    proved = identity.authenticated_at or now - timedelta(minutes=issuer.max_age_minutes)
    row = Session(
        id=new_id(),
        mac=ENDED,
        subject=subject,
        issuer=identity.issuer,
        external_id=identity.external_id,
        issuer_session=identity.issuer_session,
        acr=identity.acr,
        amr=list(identity.amr),
        authenticated_at=min(proved, now),
        created_at=now,
        last_seen_at=now,
        expires_at=now + timedelta(hours=settings.session_hours),
        address=request.address,
        client=client and client[:_MAX_CLIENT],
    )
    row.mac = macs.code(MacPurpose.SESSION, *_parts(row, secret))
    session.add(row)
    await session.flush()
    return f"{row.id}.{secret}", row


async def authenticate(platform: Platform, issuers: Issuers, cookie: str) -> OpenSession:
    """The session of a cookie, and its actor.

    Raises:
        Unauthenticated: The session is unknown, ended or expired, or the account is not active; the
            caller has it counted and recorded (`Platform.refuse`).
    """
    key, secret = _read_cookie(cookie)
    now = platform.clock()
    async with platform.database.session() as session:
        row = await session.get(Session, key)
        if row is None or not platform.macs.verify(
            MacPurpose.SESSION, row.mac, *_parts(row, secret)
        ):
            raise Unauthenticated
        if not is_open(row, platform.settings, now):
            raise Unauthenticated
        actor = await admit(session, _actor(row, issuers))
        if now - row.last_seen_at >= SEEN_EVERY:
            await _see(session, row, now)
            await session.commit()
    return OpenSession(actor, row, csrf_token(platform.macs, cookie))


def is_open(row: Session, settings: Settings, now: datetime) -> bool:
    """Whether a session has neither been ended nor run out."""
    return (
        row.revoked_at is None
        and now < row.expires_at
        and now - row.last_seen_at < idle_limit(settings)
    )


def open_clause(settings: Settings, now: datetime) -> ColumnElement[bool]:
    """The condition of `is_open`."""
    return (
        col(Session.revoked_at).is_(None)
        & (col(Session.expires_at) > now)
        & (col(Session.last_seen_at) > now - idle_limit(settings))
    )


def csrf_token(macs: MacKeys, cookie: str) -> str:
    """The token that forms and scripts of the pages send: of this session alone."""
    code = macs.code(MacPurpose.CSRF, cookie.encode())
    return base64.urlsafe_b64encode(code).decode().rstrip("=")


def csrf_fits(macs: MacKeys, cookie: str, given: str) -> bool:
    """Whether this is the token of the session of this cookie."""
    try:
        code = base64.urlsafe_b64decode(given.encode() + b"=" * (-len(given) % 4))
    except ValueError:
        return False
    return macs.verify(MacPurpose.CSRF, code, cookie.encode())


async def forget_expired(session: AsyncSession, now: datetime) -> None:
    """Delete the sessions that ran out a day ago; the caller commits."""
    limit = now - timedelta(days=1)
    await session.execute(delete(Session).where(col(Session.expires_at) < limit))


async def find_own(session: AsyncSession, key: str, identity: Identity) -> Session:
    """The open session that signs in afresh, which must be of the same person; locked.

    Raises:
        SignInRefused: It has ended, or another person signed in.
    """
    statement = select(Session).where(col(Session.id) == uuids.read(key)).with_for_update()
    row: Session | None = await session.scalar(statement)
    if row is None or row.revoked_at is not None:
        raise SignInRefused(Reason.NOT_THIS_BROWSER, "the session has ended")
    if (row.issuer, row.external_id) != (identity.issuer, identity.external_id):
        raise SignInRefused(Reason.ANOTHER_PERSON, "step-up of another identity")
    return row


async def _see(session: AsyncSession, row: Session, now: datetime) -> None:
    await session.execute(
        update(Session)
        .where(
            col(Session.id) == row.id,
            or_(col(Session.last_seen_at) < now - SEEN_EVERY / 2),
        )
        .values(last_seen_at=now)
        .execution_options(synchronize_session=False)
    )


def _actor(row: Session, issuers: Issuers) -> Actor:
    """The person, with when they proved who they are, as far as it counts for a step-up."""
    named = issuers.by_url(row.issuer)
    if named is None:
        raise Unauthenticated  # the operator took the issuer out of the file
    name, issuer = named
    proved = row.authenticated_at if issuer.is_strong(row.acr) else None
    return Actor.of(row.subject, sign_in=SignIn(session=row.id, issuer=name, proved_at=proved))


def _parts(row: Session, secret: str) -> tuple[bytes, ...]:
    values: tuple[Any, ...] = (
        secret,
        row.id,
        row.subject,
        row.issuer,
        row.external_id,
        row.acr or "",
        instants.write_microseconds(row.authenticated_at),
        instants.write_microseconds(row.created_at),
        instants.write_microseconds(row.expires_at),
    )
    return tuple(str(each).encode() for each in values)


def _read_cookie(cookie: str) -> tuple[UUID, str]:
    key, _, secret = cookie[:_MAX_COOKIE].partition(".")
    try:
        return uuids.read(key), secret
    except ValueError:
        raise Unauthenticated from None
