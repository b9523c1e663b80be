"""How a machine signs in: it gets an access token, by the client credentials grant of RFC 6749.

A worker, and a client with a key, sends an assertion that its key signed (RFC 7523,
`private_key_jwt`); a client with a secret sends that.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import Any, Final

from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from coe.access.machine_models import MachineClient, SpentAssertion, TrustRule
from coe.access.machines import (
    MachineRow,
    RefusedCredential,
    check_credential,
    credential_of,
    find_credential,
    machine_actor,
    subject_of,
)
from coe.audit.events import AuditOutcome, Tag
from coe.crypto import jose
from coe.errors import CoeError
from coe.json_types import JSON
from coe.work import Platform, RequestInfo, Work

TOKEN_PATH: Final = "/auth/token"  # noqa: S105  # a path
CLIENT_CREDENTIALS: Final = "client_credentials"
JWT_BEARER: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
RENEWAL: Final = "coe-renewal+jwt"
"""The type of an assertion that names a worker's next key; nobody signs in with one."""
ASSERTION_SECONDS: Final = 300.0
"""How long an assertion may be good."""
SKEW_SECONDS: Final = 60.0
"""How far the clock of a machine may be ahead of ours."""
_MAX_JTI: Final = 200


class TokenRefused(CoeError):
    """An error of the token endpoint (RFC 6749, section 5.2): `error` is its code there."""

    code = "UNAUTHENTICATED"
    status = 400

    def __init__(self, error: str, message: str) -> None:
        super().__init__(message)
        self.error = error

    @property
    def http_status(self) -> int:
        """401 for a client that is not known, else 400."""
        return 401 if self.error == "invalid_client" else 400


@dataclass(frozen=True, slots=True)
class Granted:
    """An access token, and for how many seconds it is good."""

    access_token: str
    expires_in: float


async def by_client_credentials(
    platform: Platform, form: Mapping[str, str], request: RequestInfo
) -> Granted:
    """Give a machine an access token for its assertion or its secret.

    Raises:
        TokenRefused: It sent neither, or is not who it says.
    """
    if "client_assertion" in form:
        if form.get("client_assertion_type") != JWT_BEARER:
            raise TokenRefused("invalid_request", f"the client_assertion_type is {JWT_BEARER}")
        return await _by_assertion(platform, form, request)
    if "client_id" in form and "client_secret" in form:
        return await _by_secret(platform, form, request)
    raise TokenRefused("invalid_client", "send a client_assertion, or a client_id and its secret")


def check_scope(row: MachineRow, form: Mapping[str, str]) -> None:
    """Refuse a scope that is not the machine's own: an access token always has that.

    Raises:
        TokenRefused: The request asks for another (RFC 6749, section 3.3).
    """
    asked, own = {*form.get("scope", "").split()}, {*getattr(row, "scopes", ())}
    if asked and asked != own:
        known = f"it is {' '.join(sorted(own))}" if own else "this machine has none"
        raise TokenRefused("invalid_scope", f"no other scope is given: {known}; leave it out")


async def forget_spent(session: AsyncSession, now: datetime) -> None:
    """Delete the assertions that have expired; the caller commits."""
    await session.execute(delete(SpentAssertion).where(col(SpentAssertion.expires_at) < now))


async def note_use(
    work: Work, row: MachineRow, *, always: bool = False, detail: JSON = None
) -> None:
    """Note when and from where a machine signed in; recorded if that is another address.

    Raises:
        TokenRefused: The machine is gone meanwhile.
    """
    model: type[MachineRow] = type(row)
    kept: MachineRow | None = await work.session.get(model, row.id)
    if kept is None:
        raise TokenRefused("invalid_client", "this machine is gone")
    moved = kept.last_address != work.request.address
    kept.last_seen_at, kept.last_address = work.now, work.request.address
    await work.session.flush()
    if moved or always:
        resource = credential_of(row)
        await work.record(
            Tag.ACCESS_MACHINE_SIGN_IN, resource=resource, team=row.team, detail=detail
        )


async def record_refusal(
    platform: Platform, row: MachineRow, why: str, request: RequestInfo
) -> None:
    """Record that a machine that is known was not signed in, once in a while for each reason."""
    if not await platform.authentication.is_news(credential_of(row), why, request):
        return
    async with platform.work(machine_actor(row), request) as work:
        await work.record(
            Tag.ACCESS_MACHINE_REFUSE,
            resource=credential_of(row),
            team=row.team,
            reason=f"The machine was not signed in: {why}.",
            outcome=AuditOutcome.DENIED,
        )


def granted(platform: Platform, row: MachineRow, *, seconds: float | None = None) -> Granted:
    """An access token for a credential that is good; at most so many seconds."""
    keys, now = platform.machines, platform.clock()
    key = None if isinstance(row, TrustRule) else row.public_key
    token = keys.sign(subject_of(row), credential_of(row), now, seconds=seconds, key=key)
    return Granted(token, min(keys.seconds, seconds or keys.seconds))


async def _by_assertion(
    platform: Platform, form: Mapping[str, str], request: RequestInfo
) -> Granted:
    assertion = form["client_assertion"]
    read = jose.unverified(assertion)
    credential = str(read.claims.get("sub", "")) if read else ""
    row = await _find(platform, credential)
    if row is None or isinstance(row, TrustRule) or row.public_key is None:
        raise TokenRefused("invalid_client", "the assertion names no machine that is known here")
    try:
        checked = check_assertion(platform, assertion, row.public_key, credential)
        check_credential(platform.machines, row, platform.clock())
        check_scope(row, form)
        async with platform.work(machine_actor(row), request) as work:
            await spend(work, row, checked)
            await note_use(work, row)
    except (RefusedCredential, TokenRefused) as refused:
        raise await _refusal(platform, row, refused, request) from None
    return granted(platform, row)


async def _by_secret(platform: Platform, form: Mapping[str, str], request: RequestInfo) -> Granted:
    secret = form["client_secret"]
    row = await _find(platform, form["client_id"])
    if not isinstance(row, MachineClient) or row.secret_mac is None:
        raise TokenRefused("invalid_client", "there is no such client with a secret")
    try:
        if not platform.machines.is_secret(row, secret):
            raise TokenRefused("invalid_client", "there is no such client with a secret")  # noqa: TRY301
        check_credential(platform.machines, row, platform.clock())
        check_scope(row, form)
        async with platform.work(machine_actor(row), request) as work:
            await note_use(work, row)
    except (RefusedCredential, TokenRefused) as refused:
        raise await _refusal(platform, row, refused, request) from None
    return granted(platform, row)


async def _find(platform: Platform, credential: str) -> MachineRow | None:
    async with platform.database.session() as session:
        return await find_credential(session, credential)


async def _refusal(
    platform: Platform,
    row: MachineRow,
    refused: RefusedCredential | TokenRefused,
    request: RequestInfo,
) -> TokenRefused:
    """Record a refusal, and return the error to raise."""
    if isinstance(refused, TokenRefused):
        await record_refusal(platform, row, refused.message, request)
        return refused
    await record_refusal(platform, row, f"its credential is refused: {refused.why}", request)
    return TokenRefused("invalid_client", f"this machine is refused: {refused.why}")


@dataclass(frozen=True, slots=True)
class Checked:
    """An assertion that is good, unless it was used before."""

    jti: str
    until: datetime


def check_assertion(
    platform: Platform, assertion: str, public: bytes, credential: str, *, typ: str | None = None
) -> Checked:
    """Check the signature, for whom the assertion is, and its times (RFC 7523, section 3).

    `typ` is the type that it must have; None for a sign-in, where other software writes any.

    Raises:
        TokenRefused: It is not good.
    """
    try:
        read = jose.verify_with_key(assertion, public, typ=typ)
    except jose.JwtRefused:
        raise TokenRefused("invalid_client", "this machine did not sign the assertion") from None
    if typ is None and str(read.header.get("typ", "")).lower() == RENEWAL:
        raise TokenRefused(
            "invalid_client", "this assertion renews a key, and is not for a sign-in"
        )
    claims = read.claims
    if claims.get("iss") != credential or claims.get("sub") != credential:
        raise TokenRefused("invalid_client", "iss and sub of the assertion are the machine")
    issuer = platform.machines.issuer
    audience = claims.get("aud")
    meant = audience if isinstance(audience, list) else [audience]
    if len(meant) != 1 or meant[0] not in {issuer, issuer + TOKEN_PATH}:
        raise TokenRefused("invalid_client", f"the audience of the assertion is {issuer}")
    until = check_times(claims, platform.clock().timestamp(), kind="assertion")
    if until > platform.clock().timestamp() + ASSERTION_SECONDS + SKEW_SECONDS:
        message = f"an assertion is good for at most {ASSERTION_SECONDS:.0f} seconds"
        raise TokenRefused("invalid_client", message)
    jti = claims.get("jti")
    if not isinstance(jti, str) or not 0 < len(jti) <= _MAX_JTI:
        raise TokenRefused("invalid_client", "the assertion has no id (jti)")
    return Checked(jti, datetime.fromtimestamp(until, UTC))


def check_times(
    claims: Mapping[str, Any], now: float, *, kind: str, error: str = "invalid_client"
) -> float:
    """Until when a token is good, in seconds since 1970, if it is good now.

    `kind` is what messages call it, such as `assertion`; `error` the code of a refusal.

    Raises:
        TokenRefused: It has expired, is of the future, or does not say.
    """
    until, since = claims.get("exp"), claims.get("iat")
    if not isinstance(until, int | float) or not isfinite(until) or until <= now:
        raise TokenRefused(error, f"the {kind} has expired: check the clock")
    for each in (since, claims.get("nbf")):
        if each is not None and (not isinstance(each, int | float) or each > now + SKEW_SECONDS):
            raise TokenRefused(error, f"the {kind} is of the future: check the clock")
    return until


async def spend(work: Work, row: MachineRow, checked: Checked) -> None:
    """Note that the assertion is used.

    Raises:
        TokenRefused: It was used before.
    """
    digest = hashlib.sha256(f"{credential_of(row)}\n{checked.jti}".encode()).digest()
    new = await work.session.scalar(
        insert(SpentAssertion)
        .values(digest=digest, expires_at=checked.until + timedelta(seconds=SKEW_SECONDS))
        .on_conflict_do_nothing()
        .returning(col(SpentAssertion.expires_at))
    )
    if new is None:
        raise TokenRefused("invalid_client", "this assertion was used before")
