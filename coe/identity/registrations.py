"""Machines of a team that are no workers: registered clients, and jobs of a CI that it trusts.

Each acts as `service:<name>/<team>`, in its team alone and within the scopes that a lead gave it;
the lines of the policy for a `machine` bound what scopes there can be.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, not_, select
from sqlmodel import col

from coe.access.actor import Actor, ActorKind, DataClass
from coe.access.decision import Decision
from coe.access.machine_models import MachineClient, TrustRule
from coe.access.machines import CLIENT, credential_of, end_credential, subject_of
from coe.access.models import Team
from coe.access.permissions import Permission, is_scope
from coe.audit.events import Tag
from coe.crypto import jose
from coe.db import new_id
from coe.db.newest_first import newest_first
from coe.errors import Conflict, Invalid, NotFound, Problem
from coe.identifiers import is_slug
from coe.identity.patterns import pattern_problem
from coe.identity.teams.checks import find_team
from coe.paging import Page
from coe.work import Read, Work, check_reason

SECRET_PREFIX: Final = "coes_"  # noqa: S105  # the start of every secret
MAX_LIFETIME: Final = timedelta(days=366)
RESERVED_NAMES: Final = frozenset({"worker"})
_SECRET_BYTES: Final = 32
_AUDIENCE: Final = re.compile(r"[!-~]{1,500}")

RowT = TypeVar("RowT", MachineClient, TrustRule)


@dataclass(frozen=True, slots=True)
class ClientRequest:
    """The client to register: its team, name, scopes and lifetime.

    `public_key` is an Ed25519 key in base64url (the `x` of a JWK); without it the client gets a
    secret.
    """

    team: str
    name: str
    scopes: Sequence[str]
    lifetime: timedelta
    public_key: str | None = None


@dataclass(frozen=True, slots=True)
class TrustRequest:
    """The rule to add: which tokens of an issuer stand for which machine of the team."""

    team: str
    name: str
    issuer: str
    audience: str
    subject: str
    scopes: Sequence[str]
    lifetime: timedelta


async def create_client(work: Work, request: ClientRequest) -> tuple[str | None, MachineClient]:
    """Register a machine of a team.

    Returns:
        Its secret, of which only an HMAC is kept (None for one with a public key), and its row.

    Raises:
        NotFound: There is no such team.
        Forbidden: `client:create` in the team is refused.
        Invalid: The request has problems; nothing is saved.
        Conflict: There is such a client, or another machine with its name, or the team is retired.
    """
    decision = await _require(work, Permission.CLIENT_CREATE, request.team)
    await find_team(work, request.team, keep=True)
    public, problems = _public_key(request.public_key)
    _check(problems, _common_problems(work, request))
    await _check_name_is_free(work, request.team, request.name)
    row = MachineClient(
        id=new_id(),
        team=request.team,
        name=request.name,
        scopes=sorted(set(request.scopes)),
        public_key=public,
        created_by=work.actor.subject,
        created_at=work.now,
        expires_at=work.now + request.lifetime,
        mac=b"",
    )
    secret = None
    if public is None:
        secret = SECRET_PREFIX + secrets.token_urlsafe(_SECRET_BYTES)
        row.secret_mac = work.platform.machines.secret_mac(row, secret)
    await _insert(work, row, Tag.ACCESS_CLIENT_CREATE, decision)
    return secret, row


async def add_trust_rule(work: Work, request: TrustRequest) -> TrustRule:
    """Trust the tokens of an issuer whose subject fits, as those of a machine of a team.

    Raises:
        NotFound: There is no such team.
        Forbidden: `trust:add` in the team is refused.
        Invalid: The request has problems; nothing is saved.
        Conflict: There is such a rule, or another machine with its name, or the team is retired.
    """
    decision = await _require(work, Permission.TRUST_ADD, request.team)
    await find_team(work, request.team, keep=True)
    _check(_trust_problems(work, request), _common_problems(work, request))
    await _check_name_is_free(work, request.team, request.name)
    row = TrustRule(
        id=new_id(),
        team=request.team,
        name=request.name,
        issuer=request.issuer,
        audience=request.audience,
        subject_pattern=request.subject,
        scopes=sorted(set(request.scopes)),
        created_by=work.actor.subject,
        created_at=work.now,
        expires_at=work.now + request.lifetime,
        mac=b"",
    )
    await _insert(work, row, Tag.ACCESS_TRUST_ADD, decision)
    return row


async def revoke_client(work: Work, client: UUID, reason: str) -> MachineClient:
    """Make a client worthless from now on: its access tokens are refused at once.

    Raises:
        NotFound: There is no such client, or the actor may not revoke it.
        Conflict: It is revoked already.
        Invalid: The reason is blank or too long.
    """
    permission, tag = Permission.CLIENT_REVOKE, Tag.ACCESS_CLIENT_REVOKE
    return await _end(work, MachineClient, client, reason, permission=permission, tag=tag)


async def remove_trust_rule(work: Work, rule: UUID, reason: str) -> TrustRule:
    """Trust no more: the access tokens that were given by the rule are refused at once.

    Raises:
        NotFound: There is no such rule, or the actor may not remove it.
        Conflict: It is removed already.
        Invalid: The reason is blank or too long.
    """
    permission, tag = Permission.TRUST_REMOVE, Tag.ACCESS_TRUST_REMOVE
    return await _end(work, TrustRule, rule, reason, permission=permission, tag=tag)


async def list_clients(
    work: Work,
    team: str,
    *,
    active: bool | None = None,
    first: int = 20,
    after: str | None = None,
) -> Page[MachineClient]:
    """The clients of a team, the newest first; the reading is recorded.

    Raises:
        NotFound: There is no such team.
        Forbidden: `client:read` in the team is refused.
        Invalid: The cursor is not one of this list, or `first` is not from 0 to 100.
    """
    decision = await _require(work, Permission.CLIENT_READ, team)
    await _record_list(work, Tag.ACCESS_CLIENT_READ, team, decision)
    return await _page(work, MachineClient, team, active=active, first=first, after=after)


async def list_trust_rules(
    work: Work,
    team: str,
    *,
    active: bool | None = None,
    first: int = 20,
    after: str | None = None,
) -> Page[TrustRule]:
    """The trust rules of a team, the newest first; the reading is recorded.

    Raises:
        NotFound: There is no such team.
        Forbidden: `trust:read` in the team is refused.
        Invalid: The cursor is not one of this list, or `first` is not from 0 to 100.
    """
    decision = await _require(work, Permission.TRUST_READ, team)
    await _record_list(work, Tag.ACCESS_TRUST_READ, team, decision)
    return await _page(work, TrustRule, team, active=active, first=first, after=after)


async def _require(work: Work, permission: Permission, team: str) -> Decision:
    decision = work.require(permission, resource=f"team:{team}", team=team)
    if await work.session.get(Team, team) is None:
        raise NotFound(f"there is no team {team}")
    return decision


async def _record_list(work: Work, tag: Tag, team: str, decision: Decision) -> None:
    await work.record(tag, resource=f"team:{team}", team=team, decision=decision)


def _common_problems(read: Read, request: ClientRequest | TrustRequest) -> list[Problem]:
    problems = []
    if not is_slug(request.name) or request.name in RESERVED_NAMES:
        message = "a name is words of a-z and 0-9 with hyphens between them, and not `worker`"
        problems.append(Problem("INPUT_MACHINE_NAME", message, path="/name"))
    elif read.policy.teams(f"service:{request.name}/{request.team}"):
        message = "a member of a team has this name"
        problems.append(Problem("INPUT_MACHINE_NAME", message, path="/name"))
    if not timedelta(0) < request.lifetime <= MAX_LIFETIME:
        message = f"it expires in the future, at most {MAX_LIFETIME.days} days ahead"
        problems.append(Problem("INPUT_EXPIRY", message, path="/expiresIn"))
    return problems + _scope_problems(read, request)


def _scope_problems(read: Read, request: ClientRequest | TrustRequest) -> list[Problem]:
    """Scopes that there are not, or by which no machine may do anything."""
    if not request.scopes:
        return [Problem("INPUT_SCOPE", "a machine needs at least one scope", path="/scopes")]
    problems = []
    for index, scope in enumerate(request.scopes):
        if not is_scope(scope):
            message, help_ = f"there is no scope {scope!r}", "a scope is run:start, or run:*"
        elif not _may(read, request.team, scope):
            message = f"the policy lets no machine of {request.team} do {scope}"
            help_ = "see policies/rules/machines.csv"
        else:
            continue
        problems.append(Problem("INPUT_SCOPE", message, path=f"/scopes/{index}", help=help_))
    return problems


def _may(read: Read, team: str, scope: str) -> bool:
    noun = scope.partition(":")[0] + ":"
    names = [each for each in Permission if each == scope or (scope == noun + "*" and noun in each)]
    machine = replace(
        Actor(f"service:machine/{team}", ActorKind.SERVICE, ""), credential=CLIENT, bound_to=team
    )
    return any(
        read.policy.decide(machine, name, team=team, data_class=each).allowed
        for name in names
        for each in DataClass
    )


def _trust_problems(read: Read, request: TrustRequest) -> list[Problem]:
    problems = []
    if request.issuer not in read.platform.settings.ci_issuers:
        known = ", ".join(read.platform.settings.ci_issuers)
        message = f"the operator lets teams trust these issuers: {known or 'none'}"
        problems.append(Problem("INPUT_ISSUER", message, path="/issuer"))
    if _AUDIENCE.fullmatch(request.audience) is None:
        message = "an audience has 1 to 500 printable characters without spaces"
        problems.append(Problem("INPUT_AUDIENCE", message, path="/audience"))
    wrong = pattern_problem(request.subject)
    if wrong is not None:
        problems.append(Problem("INPUT_SUBJECT_PATTERN", wrong, path="/subject"))
    return problems


def _public_key(text: str | None) -> tuple[bytes | None, list[Problem]]:
    if text is None:
        return None, []
    try:
        return jose.read_public_key(text), []
    except jose.JwtRefused as error:
        return None, [Problem("INPUT_PUBLIC_KEY", str(error), path="/publicKey")]


def _check(*problems: list[Problem]) -> None:
    found = [each for some in problems for each in some]
    if found:
        raise Invalid(found)


async def _check_name_is_free(work: Work, team: str, name: str) -> None:
    """One machine has a name: what the log says of it must not be of two."""
    await work.session.execute(
        select(func.pg_advisory_xact_lock(func.hashtext(f"machine {team}/{name}")))
    )
    for model in (MachineClient, TrustRule):
        wanted = (
            col(model.team) == team,
            col(model.name) == name,
            col(model.revoked_at).is_(None),
        )
        if await work.session.scalar(select(col(model.id)).where(*wanted).limit(1)) is not None:
            message = f"{team} has a machine with the name {name}: end that first, or take another"
            raise Conflict(message)


async def _insert(work: Work, row: MachineClient | TrustRule, tag: Tag, decision: Decision) -> None:
    row.mac = work.platform.machines.mac(row)
    work.session.add(row)
    await work.session.flush()
    await work.record(
        tag,
        resource=credential_of(row),
        team=row.team,
        decision=decision,
        detail={
            "subject": subject_of(row),
            "scopes": list(row.scopes),
            **(
                {"issuer": row.issuer, "audience": row.audience, "pattern": row.subject_pattern}
                if isinstance(row, TrustRule)
                else {}
            ),
        },
    )


async def _end(
    work: Work,
    model: type[RowT],
    key: UUID,
    reason: str,
    *,
    permission: Permission,
    tag: Tag,
) -> RowT:
    row: RowT | None = await work.session.get(model, key, with_for_update=True)
    if row is None:
        raise NotFound
    resource = credential_of(row)
    decision = work.require(permission, resource=resource, team=row.team, hide=True)
    check_reason(reason)
    if row.revoked_at is not None:
        raise Conflict("it has ended already")
    end_credential(row, by=work.actor.subject, now=work.now)
    await work.session.flush()
    await work.record(
        tag,
        resource=resource,
        team=row.team,
        decision=decision,
        reason=reason,
        detail={"subject": subject_of(row), "createdBy": row.created_by},
    )
    return row


async def _page(
    work: Work,
    model: type[RowT],
    team: str,
    *,
    active: bool | None,
    first: int,
    after: str | None,
) -> Page[RowT]:
    good = and_(col(model.revoked_at).is_(None), col(model.expires_at) > work.now)
    wanted: list[ColumnElement[bool]] = [col(model.team) == team]
    if active is not None:
        wanted.append(good if active else not_(good))
    cursor, at = str(model.__tablename__), col(model.created_at)
    return await newest_first(
        work.session, model, *wanted, at=at, cursor=cursor, first=first, after=after
    )
