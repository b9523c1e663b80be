"""Bearer tokens: opaque; only their hash is stored.

These are functions over a session. The verbs that issue and revoke for a caller stand above
`coe.work`: they require `token:issue` or `token:revoke`, and record it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Protocol
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, not_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from coe.access.actor import Actor, ActorKind, subject_kind
from coe.access.machines import is_worker
from coe.access.models import AccessToken, Membership
from coe.access.permissions import is_scope
from coe.db import utcnow
from coe.errors import Invalid, Problem, Unauthenticated

TOKEN_PREFIX: Final = "coe_"  # noqa: S105  # the start of every token
EVERY_SCOPE: Final = "*"
MAX_LIFETIME: Final = timedelta(days=366)

_BYTES: Final = 32
_FORM: Final = re.compile(r"coe_[A-Za-z0-9_-]{43}")
_NAME: Final = re.compile(r"\S(?:.{0,98}\S)?")


class InactiveToken(Unauthenticated):
    """A token that expired or was revoked; clients see the same error as for any bad token."""

    def __init__(self, token: AccessToken) -> None:
        super().__init__(Unauthenticated().message)
        self.token_id = token.id
        self.subject = token.subject
        self.kind = token.kind
        self.why = _why(token)


def _why(token: AccessToken) -> str:
    if token.revoked_at is not None:
        return "it was revoked"
    return "a worker signs in with its key" if is_worker(token.subject) else "it expired"


class Authenticator(Protocol):
    """A composition root passes one to accept bearer tokens that are not in the database."""

    def authenticate(self, bearer: str, address: str) -> Actor | None:
        """The actor with this token, or None if it is not one of these tokens.

        `address` is the network address of the client.
        """


async def authenticate(session: AsyncSession, bearer: str, *, now: datetime | None = None) -> Actor:
    """Find the actor of a token in the database.

    Args:
        session: Only read from.
        bearer: The text after `Bearer ` in the header.
        now: By default the clock's time.

    Raises:
        Unauthenticated: The token is malformed, unknown, expired or revoked (`InactiveToken`); the
            message is the same for all.
    """
    if not _FORM.fullmatch(bearer):
        raise Unauthenticated
    digest = hash_token(bearer)
    token = await session.scalar(select(AccessToken).where(col(AccessToken.token_hash) == digest))
    now = now or utcnow()
    if token is None or not hmac.compare_digest(token.token_hash, digest):
        raise Unauthenticated
    if token.revoked_at is not None or token.expires_at <= now or is_worker(token.subject):
        raise InactiveToken(token)
    return Actor.of(
        token.subject,
        display_name=await _display_name(session, token.subject),
        scopes=None if EVERY_SCOPE in token.scopes else frozenset(token.scopes),
        maker=_maker(token),
        token_id=token.id,
    )


async def issue(
    session: AsyncSession,
    *,
    name: str,
    subject: str,
    scopes: Collection[str],
    expires_at: datetime,
    created_by: str,
    now: datetime | None = None,
) -> tuple[str, AccessToken]:
    """Create a token for a subject; the caller commits.

    Args:
        session: The transaction to which the row is added.
        name: Its purpose, for people: 1 to 100 characters.
        subject: A person or a service; a run has no token.
        scopes: Permissions, nouns with all verbs (`run:*`), or `*`: they only narrow the policy.
        expires_at: At most 366 days ahead.
        created_by: The subject that issues it.
        now: By default the clock's time.

    Returns:
        The token, which is not stored, and the row with its hash.

    Raises:
        Invalid: Every problem of the name, subject, scopes and expiry.
    """
    now = now or utcnow()
    problems = [
        *_name_problems(name),
        *_subject_problems(subject),
        *_scope_problems(scopes),
        *_expiry_problems(expires_at, now),
    ]
    if problems:
        raise Invalid(problems)
    bearer = TOKEN_PREFIX + secrets.token_urlsafe(_BYTES)
    token = AccessToken(
        name=name,
        subject=subject,
        kind=subject_kind(subject).value,
        token_hash=hash_token(bearer),
        scopes=sorted(set(scopes)),
        expires_at=expires_at,
        created_at=now,
        created_by=created_by,
    )
    session.add(token)
    await session.flush()
    return bearer, token


async def find_token(session: AsyncSession, token_id: UUID) -> AccessToken | None:
    """The row of a token, if there is one."""
    return await session.get(AccessToken, token_id)


async def subjects(session: AsyncSession) -> list[str]:
    """All subjects that have or had a token, in order."""
    found = await session.scalars(
        select(col(AccessToken.subject)).distinct().order_by(col(AccessToken.subject))
    )
    return list(found)


async def page(
    session: AsyncSession,
    of: Collection[str],
    *,
    active: bool | None,
    now: datetime,
    size: int,
    beyond: Sequence[Any] | None,
) -> tuple[list[AccessToken], int]:
    """Tokens of these subjects, the newest first, and how many there are over all pages.

    `beyond` is the time and the id of the token before the page.
    """
    created, key = col(AccessToken.created_at), col(AccessToken.id)
    works = and_(col(AccessToken.revoked_at).is_(None), col(AccessToken.expires_at) > now)
    wanted: list[ColumnElement[Any]] = [col(AccessToken.subject).in_(of)]
    if active is not None:
        wanted.append(works if active else not_(works))
    total = await session.scalar(select(func.count()).select_from(AccessToken).where(*wanted))
    if beyond is not None:
        wanted.append(tuple_(created, key) < tuple_(*beyond))
    statement = select(AccessToken).where(*wanted).order_by(created.desc(), key.desc())
    return list(await session.scalars(statement.limit(size))), total or 0


async def revoke(session: AsyncSession, token_id: UUID, *, now: datetime | None = None) -> bool:
    """Revoke the token from now on; the caller commits.

    Returns:
        Whether a token was revoked: False if it is unknown or already revoked.
    """
    revoked = await session.scalar(
        update(AccessToken)
        .where(col(AccessToken.id) == token_id, col(AccessToken.revoked_at).is_(None))
        .values(revoked_at=now or utcnow())
        .returning(col(AccessToken.id))
        .execution_options(synchronize_session="fetch")
    )
    return revoked is not None


def hash_token(bearer: str) -> bytes:
    """SHA-256 of the token. It has 256 random bits, so a slow hash would add nothing."""
    return hashlib.sha256(bearer.encode()).digest()


def _maker(token: AccessToken) -> str | None:
    """The person who made a service's token; an operator, who holds the database, is none."""
    is_person = subject_kind(token.created_by) is ActorKind.PERSON
    return token.created_by if is_person and token.kind == ActorKind.SERVICE else None


async def _display_name(session: AsyncSession, subject: str) -> str | None:
    name: str | None = await session.scalar(
        select(col(Membership.display_name))
        .where(col(Membership.subject) == subject)
        .order_by(col(Membership.team))
        .limit(1)
    )
    return name


def _name_problems(name: str) -> list[Problem]:
    if _NAME.fullmatch(name):
        return []
    return [Problem("INPUT_TOKEN_NAME", "a name has 1 to 100 characters", path="/name")]


def _subject_problems(subject: str) -> list[Problem]:
    try:
        kind = subject_kind(subject)
    except ValueError as error:
        return [Problem("INPUT_TOKEN_SUBJECT", str(error), path="/subject")]
    if kind is ActorKind.RUN:
        message = "a token is for a person or a service, not for a run"
        return [Problem("INPUT_TOKEN_SUBJECT", message, path="/subject")]
    if is_worker(subject):
        message = "a team's worker has no token: it enrols with a key of its own"
        return [Problem("INPUT_TOKEN_SUBJECT", message, path="/subject")]
    return []


def _scope_problems(scopes: Collection[str]) -> list[Problem]:
    if not scopes:
        message = "a token needs at least one scope"
        return [Problem("INPUT_TOKEN_SCOPE", message, path="/scopes", help="* means every scope")]
    return [
        Problem(
            "INPUT_TOKEN_SCOPE",
            f"there is no scope {scope!r}",
            path=f"/scopes/{index}",
            help="a scope is a permission (run:start), a noun with all its verbs (run:*), or *",
        )
        for index, scope in enumerate(scopes)
        if scope != EVERY_SCOPE and not is_scope(scope)
    ]


def _expiry_problems(expires_at: datetime, now: datetime) -> list[Problem]:
    if expires_at.tzinfo is not None and now < expires_at <= now + MAX_LIFETIME:
        return []
    message = f"a token expires in the future, at most {MAX_LIFETIME.days} days ahead"
    return [Problem("INPUT_TOKEN_EXPIRY", message, path="/expiresIn")]
