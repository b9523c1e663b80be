"""Bearer tokens: opaque, and only message authentication codes of them are stored.

`token_hash` is the code of the token's text, by which its row is found. `mac` is the code of what
the row says: subject, scopes, team, expiry, maker and parent. The key of both is in no database
(`coe.crypto.mac`), so whoever can write the table, and no more, can neither add a token nor widen
one. To revoke a token deletes its `mac`, so that taking the revocation back needs the key too.

A token that was issued with another one is its child. With each request the whole line of parents
is read, in one query: a token works while none of them has expired or is revoked.

These are functions over a session. The verbs that issue and revoke for a caller stand above
`coe.work`: they require `token:issue` or `token:revoke`, and record it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, Protocol
from uuid import UUID

import orjson
from sqlalchemy import ColumnElement, Row, Table, and_, func, literal, not_, or_, select, tuple_
from sqlalchemy import update as sql_update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import SQLModel, col

from coe.access.actor import Actor, ActorKind, subject_kind
from coe.access.models import AccessToken, Membership
from coe.access.permissions import is_scope
from coe.access.token_text import TokenKind, is_token, new_token
from coe.crypto.mac import MacKeys, MacPurpose
from coe.db import new_id, utcnow
from coe.errors import Invalid, Problem, Unauthenticated
from coe.formats import instants
from coe.identifiers import is_worker

EVERY_SCOPE: Final = "*"
MAX_LIFETIME: Final = timedelta(days=365)
MAX_PARENTS: Final = 8
"""How long a line of parents may be."""

_NAME: Final = re.compile(r"\S(?:.{0,98}\S)?")
_TOKENS: Final[Table] = SQLModel.metadata.tables[str(AccessToken.__tablename__)]


class InactiveToken(Unauthenticated):
    """A token that does not work any more; clients see the same error as for any bad token."""

    def __init__(self, token: AccessToken | Row[Any], why: str) -> None:
        super().__init__(Unauthenticated().message)
        self.token_id: UUID = token.id
        self.subject: str = token.subject
        self.kind: str = token.kind
        self.why = why


class Authenticator(Protocol):
    """A composition root passes one to accept bearer tokens that are not in the database."""

    def authenticate(self, bearer: str, address: str) -> Actor | None:
        """The actor with this token, or None if it is not one of these tokens.

        `address` is the network address of the client.
        """


@dataclass(frozen=True, slots=True)
class NewToken:
    """The token to issue.

    Attributes:
        name: Its purpose, for people: 1 to 100 characters.
        subject: A person or a service; a run has no token.
        scopes: Permissions, nouns with all verbs (`run:*`), or `*`: they only narrow the policy.
        expires_at: At most a year ahead.
        created_by: The subject that issues it.
        maker: Who counts as one with the service that gets it (`Actor.maker`).
        team: The only team for whose resources it counts, or None.
        parent: The token with which it is issued, whose row is locked.
    """

    name: str
    subject: str
    scopes: Collection[str]
    expires_at: datetime
    created_by: str
    maker: str | None = None
    team: str | None = None
    parent: AccessToken | None = None


@dataclass(frozen=True, slots=True)
class FoundToken:
    """The actor of a token, and when its use was noted last."""

    actor: Actor
    token_id: UUID
    last_used_at: datetime | None


async def authenticate(
    session: AsyncSession, macs: MacKeys, bearer: str, *, now: datetime | None = None
) -> FoundToken:
    """Find the actor of a token in the database.

    The row is found by a code that only the holder of the token and of the key can compute, and
    its other codes are compared in constant time: nothing can be learnt from how long it takes.

    Args:
        session: Only read from.
        macs: The keys of the codes.
        bearer: The text after `Bearer ` in the header.
        now: By default the clock's time.

    Raises:
        Unauthenticated: The token is malformed, unknown, expired, revoked, or its row was not
            written by the platform (`InactiveToken`); the message is the same for all.
    """
    if not is_token(bearer):
        raise Unauthenticated
    codes = text_codes(macs, bearer)
    line = (await session.execute(line_of(_TOKENS.c.token_hash.in_(codes)))).all()
    found = found_token(macs, line, now or utcnow())
    name = await _display_name(session, found.actor.subject)
    return replace(found, actor=replace(found.actor, display_name=name or found.actor.subject))


def text_codes(macs: MacKeys, bearer: str) -> list[bytes]:
    """The codes by which the row of a token is found: one for each key."""
    return list(macs.codes(MacPurpose.ACCESS_TOKEN, b"text", bearer.encode()))


def found_token(macs: MacKeys, line: Sequence[Any], now: datetime) -> FoundToken:
    """The actor of a token, from its row and those of its parents (`line_of`), without a name.

    Raises:
        Unauthenticated: There is no such token, or it does not work (`InactiveToken`).
    """
    if not line or line[-1].parent_id is not None:
        raise Unauthenticated
    token = line[0]
    why = _objection(macs, line, now)
    if why is not None:
        raise InactiveToken(token, why)
    actor = token_actor(token)
    return FoundToken(actor, token.id, token.last_used_at)


def token_actor(token: AccessToken | Row[Any], name: str | None = None) -> Actor:
    """The actor that a token stands for."""
    return Actor.of(
        token.subject,
        display_name=name,
        scopes=None if EVERY_SCOPE in token.scopes else frozenset(token.scopes),
        maker=token.maker,
        token_id=token.id,
        bound_to=token.team,
    )


async def issue(
    session: AsyncSession, macs: MacKeys, new: NewToken, *, now: datetime | None = None
) -> tuple[str, AccessToken]:
    """Create a token for a subject; the caller commits.

    Returns:
        The token, which is not stored, and its row.

    Raises:
        Invalid: Every problem of the name, subject, scopes and expiry.
    """
    now = now or utcnow()
    problems = [
        *_name_problems(new.name),
        *_subject_problems(new.subject),
        *_scope_problems(new.scopes),
        *_expiry_problems(new.expires_at, now),
    ]
    if problems:
        raise Invalid(problems)
    kind = subject_kind(new.subject)
    bearer = new_token(TokenKind.of(kind))
    token = AccessToken(
        id=new_id(),
        name=new.name,
        subject=new.subject,
        kind=kind.value,
        token_hash=macs.code(MacPurpose.ACCESS_TOKEN, b"text", bearer.encode()),
        scopes=sorted(set(new.scopes)),
        team=new.team,
        parent_id=None if new.parent is None else new.parent.id,
        maker=new.maker,
        expires_at=new.expires_at,
        created_at=now,
        created_by=new.created_by,
    )
    token.mac = macs.code(MacPurpose.ACCESS_TOKEN, b"row", _content(token))
    session.add(token)
    await session.flush()
    return bearer, token


async def find_token(
    session: AsyncSession, token_id: UUID, *, lock: bool = False
) -> AccessToken | None:
    """The row of a token, if there is one; `lock` keeps it from being revoked meanwhile."""
    found: AccessToken | None = await session.get(
        AccessToken, token_id, with_for_update={"read": True} if lock else None
    )
    return found


async def owners(session: AsyncSession, *conditions: ColumnElement[bool]) -> list[_Owner]:
    """Each subject that has or had such a token, with the team that the token is bound to."""
    subject, team = _TOKENS.c.subject, _TOKENS.c.team
    found = await session.execute(
        select(subject, team).where(*conditions).distinct().order_by(subject, team)
    )
    return [(row.subject, row.team) for row in found]


def owned_by(of: Collection[_Owner]) -> ColumnElement[bool]:
    """The tokens of these owners."""
    pair = tuple_(_TOKENS.c.subject, func.coalesce(_TOKENS.c.team, ""))
    return pair.in_([(subject, team or "") for subject, team in of])


def works(now: datetime) -> ColumnElement[bool]:
    """The tokens that work now; one whose parent has ended is revoked or has expired too."""
    return and_(_TOKENS.c.revoked_at.is_(None), _TOKENS.c.expires_at > now)


def matching(
    *, subject: str | None, team: str | None, made_by: str | None, members: Collection[str] = ()
) -> list[ColumnElement[bool]]:
    """The conditions of a filter: a subject, a team (bound to it, or of its members), a maker."""
    found: list[ColumnElement[bool]] = []
    if subject is not None:
        found.append(_TOKENS.c.subject == subject)
    if team is not None:
        of_member = and_(_TOKENS.c.team.is_(None), _TOKENS.c.subject.in_(members))
        found.append(or_(_TOKENS.c.team == team, of_member))
    if made_by is not None:
        found.append(or_(_TOKENS.c.created_by == made_by, _TOKENS.c.maker == made_by))
    return found


async def page(
    session: AsyncSession,
    *conditions: ColumnElement[bool],
    active: bool | None,
    now: datetime,
    size: int,
    beyond: Sequence[Any] | None,
) -> tuple[list[AccessToken], int]:
    """Tokens that fit the conditions, the newest first, and how many there are over all pages.

    `beyond` is the time and the id of the token before the page.
    """
    created, key = col(AccessToken.created_at), col(AccessToken.id)
    wanted = list(conditions)
    if active is not None:
        wanted.append(works(now) if active else not_(works(now)))
    total = await session.scalar(select(func.count()).select_from(AccessToken).where(*wanted))
    if beyond is not None:
        wanted.append(tuple_(created, key) < tuple_(*beyond))
    statement = select(AccessToken).where(*wanted).order_by(created.desc(), key.desc())
    return list(await session.scalars(statement.limit(size))), total or 0


async def active_tokens(
    session: AsyncSession, *conditions: ColumnElement[bool], now: datetime
) -> list[AccessToken]:
    """The tokens that fit the conditions and work now, locked."""
    statement = select(AccessToken).where(works(now), *conditions).order_by(col(AccessToken.id))
    return list(await session.scalars(statement.with_for_update()))


async def revoke(
    session: AsyncSession, *token_ids: UUID, now: datetime | None = None
) -> frozenset[UUID]:
    """Revoke tokens and all that were issued with them, from now on; the caller commits.

    Returns:
        The tokens that were revoked: none that is unknown or was revoked already.
    """
    tree = select(_TOKENS.c.id).where(_TOKENS.c.id.in_(token_ids)).cte("tree", recursive=True)
    child = _TOKENS.alias("child")
    tree = tree.union(select(child.c.id).where(child.c.parent_id == tree.c.id))
    revoked = await session.scalars(
        sql_update(AccessToken)
        .where(col(AccessToken.id).in_(select(tree.c.id)), col(AccessToken.revoked_at).is_(None))
        .values(revoked_at=now or utcnow(), mac=None)
        .returning(col(AccessToken.id))
        .execution_options(synchronize_session="fetch")
    )
    return frozenset(revoked)


async def revoke_of_subject(
    session: AsyncSession, subject: str, *, now: datetime | None = None
) -> frozenset[UUID]:
    """Revoke all tokens of a subject, and all that were issued with them; the caller commits."""
    found = await session.scalars(select(_TOKENS.c.id).where(_TOKENS.c.subject == subject))
    return await revoke(session, *found, now=now)


async def parents_of(session: AsyncSession, token: AccessToken) -> int:
    """How many tokens stand above a token in its line."""
    line = line_of(_TOKENS.c.id == token.id)
    return len((await session.execute(line)).all()) - 1


_Owner = tuple[str, str | None]


def line_of(start: ColumnElement[bool]) -> Any:
    """A token, its parent, the parent of that and so on, at most `MAX_PARENTS`."""
    line = select(_TOKENS, literal(0).label("depth")).where(start).cte("line", recursive=True)
    parent = _TOKENS.alias("parent")
    line = line.union_all(
        select(parent, line.c.depth + 1).where(
            parent.c.id == line.c.parent_id, line.c.depth < MAX_PARENTS
        )
    )
    return select(line).order_by(line.c.depth)


def _objection(macs: MacKeys, line: Sequence[Row[Any]], now: datetime) -> str | None:
    """Why a token does not work, from its line; None if it does."""
    if is_worker(line[0].subject):
        return "a worker signs in with its key"
    for depth, row in enumerate(line):
        which = "it" if depth == 0 else "the token with which it was issued"
        if row.revoked_at is not None:
            return f"{which} was revoked"
        if row.expires_at <= now:
            return f"{which} expired"
        if not macs.verify(MacPurpose.ACCESS_TOKEN, row.mac, b"row", _content(row)):
            return f"the row of {which} is not as the platform wrote it"
    return None


def _content(token: AccessToken | Row[Any]) -> bytes:
    """What the `mac` of a row is of: all that says what the token is good for."""
    return orjson.dumps(
        [
            str(token.id),
            token.token_hash.hex(),
            token.subject,
            token.kind,
            sorted(token.scopes),
            token.team,
            None if token.parent_id is None else str(token.parent_id),
            token.maker,
            token.created_by,
            instants.write(token.expires_at),
        ]
    )


async def _display_name(session: AsyncSession, subject: str) -> str | None:
    name: str | None = await session.scalar(
        select(col(Membership.display_name))
        .where(col(Membership.subject) == subject)
        .order_by(col(Membership.team))
        .limit(1)
    )
    return name


def _name_problems(name: str) -> list[Problem]:
    if _NAME.fullmatch(name) and name.isprintable():
        return []
    message = "a name is one line of 1 to 100 characters, none of which is a control character"
    return [Problem("INPUT_TOKEN_NAME", message, path="/name")]


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
