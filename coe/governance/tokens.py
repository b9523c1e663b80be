"""Issue, list and revoke bearer tokens; `coe.access.tokens` makes and checks them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from coe.access import tokens
from coe.access.actor import subject_kind
from coe.access.decision import Decision
from coe.access.machines import is_worker
from coe.access.models import AccessToken
from coe.access.permissions import Permission
from coe.audit.events import Tag
from coe.errors import Conflict, Forbidden, Invalid, NotFound, Problem
from coe.formats import instants, uuids
from coe.governance.access import relations_to_subject
from coe.governance.resources import team_of_subject
from coe.identifiers import PLATFORM_TEAM
from coe.paging import Page, check_first, decode, encode
from coe.work import Read, Work, check_reason

_CURSOR = "tokens"


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """The token to issue: its name for people, its subject, its scopes and its lifetime."""

    name: str
    subject: str
    scopes: Sequence[str]
    lifetime: timedelta


async def issue_token(work: Work, request: TokenRequest) -> tuple[str, AccessToken]:
    """Issue a token for the actor itself, or for a service of one of its teams.

    An actor whose own token is narrowed to scopes can pass on only those.

    Returns:
        The bearer token, of which only a hash is kept, and its row.

    Raises:
        Forbidden: `token:issue` is refused.
        Invalid: The request has problems; nothing is saved.
    """
    team = _deciding_team(work, request.subject, Permission.TOKEN_ISSUE)
    decision = work.require(
        Permission.TOKEN_ISSUE,
        resource=f"team:{team}",
        team=team,
        relations=relations_to_subject(work, request.subject),
    )
    _check_no_worker(request.subject)
    _check_scopes(work, request.scopes)
    return await _issue(work, request, team=team, decision=decision)


async def issue_token_as_operator(work: Work, request: TokenRequest) -> tuple[str, AccessToken]:
    """Issue a token without a permission, as the operator who holds the database and its keys.

    A new installation has no other token yet. No API leads here.

    Raises:
        Forbidden: The subject is a team's worker.
        Invalid: The request has problems; nothing is saved.
    """
    _check_no_worker(request.subject)
    return await _issue(work, request, team=PLATFORM_TEAM, decision=None)


async def revoke_token(work: Work, token_id: UUID, reason: str) -> None:
    """Make a token worthless from now on.

    Raises:
        NotFound: The token does not exist, or the actor may not revoke it.
        Conflict: The token is already revoked.
        Invalid: The reason is blank or too long.
    """
    token = await tokens.find_token(work.session, token_id)
    if token is None:
        raise NotFound
    team = _deciding_team(work, token.subject, Permission.TOKEN_REVOKE)
    decision = work.require(
        Permission.TOKEN_REVOKE,
        resource=f"token:{token_id}",
        team=team,
        relations=relations_to_subject(work, token.subject),
        hide=True,
    )
    check_reason(reason)
    if not await tokens.revoke(work.session, token_id, now=work.now):
        raise Conflict("The token is already revoked.")
    await work.record(
        Tag.ACCESS_TOKEN_REVOKE,
        resource=f"token:{token_id}",
        team=team,
        decision=decision,
        reason=reason,
        detail={"subject": token.subject, "name": token.name},
    )


async def list_tokens(
    read: Read,
    *,
    subject: str | None = None,
    active: bool | None = None,
    first: int = 20,
    after: str | None = None,
) -> Page[AccessToken]:
    """The actor's own tokens and those that it may revoke, the newest first; never their text.

    Args:
        read: The actor and its session.
        subject: Only those of this subject.
        active: Only those that work now, or only those that do not.
        first: The size of the page.
        after: The cursor of a token; the page begins after it.

    Raises:
        Invalid: The subject is none, the cursor is not one of this list, or `first` is not from 0
            to 100.
    """
    size = check_first(first)
    beyond = decode(_CURSOR, after, [instants.read, uuids.read]) if after else None
    if subject is not None:
        _check_subject(subject)
    known = [subject] if subject is not None else await tokens.subjects(read.session)
    readable = [each for each in known if _may_see(read, each)]
    found, total = await tokens.page(
        read.session, readable, active=active, now=read.now, size=size + 1, beyond=beyond
    )
    items = tuple(found[:size])
    return Page(
        items=items,
        cursors=tuple(
            encode(_CURSOR, [instants.write(each.created_at), str(each.id)]) for each in items
        ),
        has_next=len(found) > size,
        has_previous=after is not None,
        total=total,
    )


def _may_see(read: Read, subject: str) -> bool:
    team = _deciding_team(read, subject, Permission.TOKEN_REVOKE)
    relations = relations_to_subject(read, subject)
    return read.decide(Permission.TOKEN_REVOKE, team=team, relations=relations).allowed


def _check_subject(subject: str) -> None:
    try:
        subject_kind(subject)
    except ValueError as error:
        raise Invalid([Problem("INPUT_FILTER", str(error), path="/subject")]) from None


def _deciding_team(read: Read, subject: str, permission: Permission) -> str:
    """The first of the subject's teams in which the actor holds the permission, else its first."""
    for team in sorted(read.policy.teams(subject)):
        relations = relations_to_subject(read, subject)
        if read.decide(permission, team=team, relations=relations).allowed:
            return team
    return team_of_subject(read.policy, subject)


def _check_no_worker(subject: str) -> None:
    """Refuse a token for a team's worker to everybody, whatever the policy says."""
    if is_worker(subject):
        team = subject.rpartition("/")[2]
        raise Forbidden(
            f"nobody issues a token for {subject}: it enrols with a key of its own, by a code of "
            f"`coe worker code {team}`",
            permission=Permission.TOKEN_ISSUE.value,
        )


def _check_scopes(read: Read, scopes: Sequence[str]) -> None:
    own = read.actor.scopes
    if own is None:
        return
    problems = [
        Problem(
            "INPUT_TOKEN_SCOPE",
            f"the caller's own token has no scope {scope!r} to pass on",
            path=f"/scopes/{index}",
        )
        for index, scope in enumerate(scopes)
        if scope not in own and f"{scope.partition(':')[0]}:*" not in own
    ]
    if problems:
        raise Invalid(problems)


async def _issue(
    work: Work, request: TokenRequest, *, team: str, decision: Decision | None
) -> tuple[str, AccessToken]:
    bearer, token = await tokens.issue(
        work.session,
        name=request.name,
        subject=request.subject,
        scopes=request.scopes,
        expires_at=work.now + request.lifetime,
        created_by=work.actor.subject,
        now=work.now,
    )
    await work.record(
        Tag.ACCESS_TOKEN_ISSUE,
        resource=f"token:{token.id}",
        team=team,
        decision=decision,
        detail={"subject": token.subject, "scopes": list(token.scopes), "name": token.name},
    )
    return bearer, token
