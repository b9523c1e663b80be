"""Issue, list and revoke bearer tokens; `coe.access.tokens` makes and checks them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement

from coe.access import tokens
from coe.access.actor import Actor, ActorKind, subject_kind
from coe.access.decision import Decision
from coe.access.models import AccessToken
from coe.access.permissions import Permission
from coe.audit.events import Tag
from coe.errors import Conflict, Forbidden, Invalid, NotFound, Problem
from coe.formats import instants, uuids
from coe.governance.subjects import answering_team, relations_to_subject
from coe.identifiers import PLATFORM_TEAM, is_slug, is_worker
from coe.paging import Page, check_first, decode, encode
from coe.work import Read, Work, check_reason

_CURSOR = "tokens"


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """The token to issue: its name for people, its subject, its scopes and its lifetime.

    With a `team` it counts for the resources of that team only.
    """

    name: str
    subject: str
    scopes: Sequence[str]
    lifetime: timedelta
    team: str | None = None


@dataclass(frozen=True, slots=True)
class TokenFilter:
    """Which tokens; every part that is given must hold.

    Attributes:
        subject: Only those of this subject.
        team: Only those that are bound to this team, and the unbound ones of its members.
        made_by: Only those that this subject issued, for itself or for a service.
        active: Only those that work now, or only those that do not.
    """

    subject: str | None = None
    team: str | None = None
    made_by: str | None = None
    active: bool | None = None


async def issue_token(work: Work, request: TokenRequest) -> tuple[str, AccessToken]:
    """Issue a token for the actor itself, or for a service of its team.

    It is never wider than what it is issued with: it has no other scopes, ends no later, and is
    revoked with it. One for a service is bound to the team that issues it, counts its maker as one
    with the service, and gives nothing that the actor may not do itself.

    Returns:
        The bearer token, of which only a code is kept, and its row.

    Raises:
        Forbidden: `token:issue` is refused.
        Invalid: The request has problems; nothing is saved.
    """
    _check_form(request.subject)
    team = _issuing_team(work, request)
    decision = work.require(
        Permission.TOKEN_ISSUE,
        resource=f"team:{team}",
        team=team,
        relations=relations_to_subject(work, request.subject),
    )
    _check_no_worker(request.subject)
    parent = await _parent(work)
    expires_at = work.now + request.lifetime
    bound = team if _is_service(request.subject) else request.team or work.actor.bound_to
    problems = [
        *_team_problems(work, request),
        *_scope_problems(work, request.scopes),
        *_passed_on_problems(work, request, team),
        *await _parent_problems(work, parent, expires_at),
    ]
    if problems:
        raise Invalid(problems)
    new = tokens.NewToken(
        name=request.name,
        subject=request.subject,
        scopes=request.scopes,
        expires_at=expires_at,
        created_by=work.actor.subject,
        maker=_maker(work, request.subject),
        team=bound,
        parent=parent,
    )
    return await _issue(work, new, team=team, decision=decision)


async def issue_token_as_operator(work: Work, request: TokenRequest) -> tuple[str, AccessToken]:
    """Issue a token without a permission, as the operator who holds the database and its keys.

    A new installation has no other token yet. No API leads here.

    Raises:
        Forbidden: The subject is a team's worker.
        Invalid: The request has problems; nothing is saved.
    """
    _check_no_worker(request.subject)
    if request.team is not None and not is_slug(request.team):
        raise Invalid([_no_team(request.team)])
    new = tokens.NewToken(
        name=request.name,
        subject=request.subject,
        scopes=request.scopes,
        expires_at=work.now + request.lifetime,
        created_by=work.actor.subject,
        team=request.team,
    )
    return await _issue(work, new, team=request.team or PLATFORM_TEAM, decision=None)


async def revoke_token(work: Work, token_id: UUID, reason: str) -> frozenset[UUID]:
    """Make a token worthless from now on, and all that were issued with it.

    Returns:
        The ids of the tokens that were revoked.

    Raises:
        NotFound: The token does not exist, or the actor may not revoke it.
        Conflict: The token is already revoked.
        Invalid: The reason is blank or too long.
    """
    token = await tokens.find_token(work.session, token_id)
    if token is None:
        raise NotFound
    decision = _require_revoking(work, token)
    check_reason(reason)
    revoked = await tokens.revoke(work.session, token_id, now=work.now)
    if token_id not in revoked:
        raise Conflict("The token is already revoked.")
    await _record_revocation(work, token, decision, reason, revoked)
    return revoked


async def revoke_tokens(work: Work, wanted: TokenFilter, reason: str) -> frozenset[UUID]:
    """Revoke all tokens of a subject, of a team or of a maker that work, and their children.

    Those that the actor may not revoke stay.

    Returns:
        The ids of the tokens that were revoked; none if there is none that the actor may revoke.

    Raises:
        Invalid: The filter names neither subject, team nor maker, a part of it is not valid, or the
            reason is blank or too long.
    """
    if wanted.subject is None and wanted.team is None and wanted.made_by is None:
        message = "name the subject, the team or the maker of the tokens"
        raise Invalid([Problem("INPUT_FILTER", message, path="/subject")])
    conditions = [*_matching(work, wanted), await _readable(work, wanted)]
    check_reason(reason)
    found = await tokens.active_tokens(work.session, *conditions, now=work.now)
    done: frozenset[UUID] = frozenset()
    for token in found:
        decision = _require_revoking(work, token)
        revoked = await tokens.revoke(work.session, token.id, now=work.now)
        if token.id in revoked:
            await _record_revocation(work, token, decision, reason, revoked)
        done |= revoked
    return done


async def list_tokens(
    read: Read,
    wanted: TokenFilter = TokenFilter(),
    *,
    first: int = 20,
    after: str | None = None,
) -> Page[AccessToken]:
    """The actor's own tokens and those that it may revoke, the newest first; never their text.

    Args:
        read: The actor and its session.
        wanted: Which of them.
        first: The size of the page.
        after: The cursor of a token; the page begins after it.

    Raises:
        Invalid: A part of the filter is not valid, the cursor is not one of this list, or `first`
            is not from 0 to 100.
    """
    size = check_first(first)
    beyond = decode(_CURSOR, after, [instants.read, uuids.read]) if after else None
    found, total = await tokens.page(
        read.session,
        *_matching(read, wanted),
        await _readable(read, wanted),
        active=wanted.active,
        now=read.now,
        size=size + 1,
        beyond=beyond,
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


def _check_no_worker(subject: str) -> None:
    """Refuse a token for a team's worker to everybody, whatever the policy says."""
    if is_worker(subject):
        team = subject.rpartition("/")[2]
        raise Forbidden(
            f"nobody issues a token for {subject}: it enrols with a key of its own, by a code of "
            f"`coe worker code {team}`",
            permission=Permission.TOKEN_ISSUE.value,
        )


def _issuing_team(work: Work, request: TokenRequest) -> str:
    """The team in which the actor issues; for a service it must be one of the service's."""
    if request.team is not None and request.team in work.policy.teams(request.subject):
        return request.team
    return answering_team(work, request.subject, None, Permission.TOKEN_ISSUE)


def _check_form(subject: str) -> None:
    try:
        subject_kind(subject)
    except ValueError as error:
        raise Invalid([Problem("INPUT_TOKEN_SUBJECT", str(error), path="/subject")]) from None


def _is_service(subject: str) -> bool:
    try:
        return subject_kind(subject) is ActorKind.SERVICE
    except ValueError:
        return False


def _maker(work: Work, subject: str) -> str | None:
    """Who counts as one with the subject: the actor, or who counts as one with that."""
    return None if subject == work.actor.subject else work.actor.maker or work.actor.subject


async def _parent(work: Work) -> AccessToken | None:
    """The token that the actor sent, locked, so that it is not revoked meanwhile."""
    if work.actor.token_id is None:
        return None
    parent = await tokens.find_token(work.session, work.actor.token_id, lock=True)
    if parent is None or parent.revoked_at is not None:
        raise Conflict("The token that was sent is revoked.")
    return parent


async def _parent_problems(
    work: Work, parent: AccessToken | None, expires_at: datetime
) -> list[Problem]:
    """Why a token would outlive the one with which it is issued, or stand too far below it."""
    if parent is None:
        return []
    problems: list[Problem] = []
    if expires_at > parent.expires_at:
        end = instants.write_seconds(parent.expires_at)
        message = f"a token ends with the one with which it is issued, at {end}"
        help_ = "ask for a shorter time, or sign in and issue it without a token"
        problems.append(Problem("INPUT_TOKEN_EXPIRY", message, path="/expiresIn", help=help_))
    if await tokens.parents_of(work.session, parent) + 1 > tokens.MAX_PARENTS:
        message = f"a token has at most {tokens.MAX_PARENTS} tokens above it"
        problems.append(Problem("INPUT_TOKEN_PARENT", message))
    return problems


def _team_problems(work: Work, request: TokenRequest) -> list[Problem]:
    if request.team is None or request.team in work.policy.teams(request.subject):
        return []
    return [_no_team(request.team)]


def _no_team(team: str) -> Problem:
    return Problem("INPUT_TOKEN_TEAM", f"the subject is not in a team {team!r}", path="/team")


def _scope_problems(read: Read, scopes: Sequence[str]) -> list[Problem]:
    own = read.actor.scopes
    if own is None:
        return []
    return [
        Problem(
            "INPUT_TOKEN_SCOPE",
            f"the caller's own token has no scope {scope!r} to pass on",
            path=f"/scopes/{index}",
        )
        for index, scope in enumerate(scopes)
        if scope not in own and f"{scope.partition(':')[0]}:*" not in own
    ]


def _passed_on_problems(work: Work, request: TokenRequest, team: str) -> list[Problem]:
    """What a service may do with the token, and the actor may not.

    Otherwise a token would be a second identity, with which its maker does what the first may not.
    """
    if not _is_service(request.subject):
        return []
    scopes = None if tokens.EVERY_SCOPE in request.scopes else frozenset(request.scopes)
    service = Actor.of(request.subject, scopes=scopes, bound_to=team)
    lacking = [
        permission.value
        for permission in Permission
        if not work.policy.scope(service, permission).within(work.scope(permission))
    ]
    if not lacking:
        return []
    message = f"you may not do it yourself, so you cannot pass it on: {', '.join(lacking)}"
    help_ = "name narrower scopes, or let somebody issue the token who may"
    return [Problem("INPUT_TOKEN_SCOPE", message, path="/scopes", help=help_)]


def _require_revoking(work: Work, token: AccessToken) -> Decision:
    return work.require(
        Permission.TOKEN_REVOKE,
        resource=f"token:{token.id}",
        team=answering_team(work, token.subject, token.team, Permission.TOKEN_REVOKE),
        relations=relations_to_subject(work, token.subject),
        hide=True,
    )


async def _record_revocation(
    work: Work,
    token: AccessToken,
    decision: Decision,
    reason: str,
    revoked: frozenset[UUID],
) -> None:
    """Record that a token was revoked, with the tokens that were issued with it."""
    children = sorted(str(each) for each in revoked if each != token.id)
    await work.record(
        Tag.ACCESS_TOKEN_REVOKE,
        resource=f"token:{token.id}",
        team=answering_team(work, token.subject, token.team, Permission.TOKEN_REVOKE),
        decision=decision,
        reason=reason,
        detail={"subject": token.subject, "name": token.name, "children": [*children]},
    )


def _matching(read: Read, wanted: TokenFilter) -> list[ColumnElement[bool]]:
    """The conditions of a filter.

    Raises:
        Invalid: A subject or the team is not well-formed.
    """
    problems: list[Problem] = []
    for value, path in ((wanted.subject, "/subject"), (wanted.made_by, "/madeBy")):
        try:
            subject_kind(value or "anybody")
        except ValueError as error:
            problems.append(Problem("INPUT_FILTER", str(error), path=path))
    if wanted.team is not None and not is_slug(wanted.team):
        problems.append(Problem("INPUT_FILTER", "this is no team", path="/team"))
    if problems:
        raise Invalid(problems)
    members = [
        subject
        for subject in read.policy.memberships
        if wanted.team is not None and wanted.team in read.policy.teams(subject)
    ]
    return tokens.matching(
        subject=wanted.subject, team=wanted.team, made_by=wanted.made_by, members=members
    )


async def _readable(read: Read, wanted: TokenFilter) -> ColumnElement[bool]:
    """The tokens of the filter that the actor may see: its own, and those that it may revoke."""
    owners = await tokens.owners(read.session, *_matching(read, wanted))
    return tokens.owned_by([owner for owner in owners if _may_see(read, *owner)])


def _may_see(read: Read, subject: str, bound: str | None) -> bool:
    team = answering_team(read, subject, bound, Permission.TOKEN_REVOKE)
    relations = relations_to_subject(read, subject)
    return read.decide(Permission.TOKEN_REVOKE, team=team, relations=relations).allowed


async def _issue(
    work: Work, new: tokens.NewToken, *, team: str, decision: Decision | None
) -> tuple[str, AccessToken]:
    bearer, token = await tokens.issue(work.session, work.platform.macs, new, now=work.now)
    await work.record(
        Tag.ACCESS_TOKEN_ISSUE,
        resource=f"token:{token.id}",
        team=team,
        decision=decision,
        detail={
            "subject": token.subject,
            "scopes": list(token.scopes),
            "name": token.name,
            "team": token.team,
            "parent": None if token.parent_id is None else str(token.parent_id),
        },
    )
    return bearer, token
