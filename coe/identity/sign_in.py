"""How a machine signs in: with an assertion that its key signed it gets an access token.

The assertion is that of RFC 7523 (`private_key_jwt`), in the client credentials grant of RFC 6749.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import Final

from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from coe.access.machine_models import SpentAssertion, WorkerKey
from coe.access.machines import (
    WORKER,
    RefusedCredential,
    check_worker_key,
    find_worker_key,
    worker_actor,
)
from coe.audit.events import AuditOutcome, Tag
from coe.crypto import jose
from coe.errors import CoeError
from coe.json_types import JSON
from coe.work import Platform, RequestInfo

TOKEN_PATH: Final = "/auth/token"  # noqa: S105  # a path
CLIENT_CREDENTIALS: Final = "client_credentials"
JWT_BEARER: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
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


async def sign_in(platform: Platform, form: Mapping[str, str], request: RequestInfo) -> Granted:
    """Give a machine an access token for the form of a token request.

    Raises:
        TokenRefused: It is no request that we know, or the machine is not who it says.
    """
    grant = form.get("grant_type", "")
    if grant != CLIENT_CREDENTIALS:
        raise TokenRefused("unsupported_grant_type", f"the grant_type is {CLIENT_CREDENTIALS}")
    if form.get("client_assertion_type") != JWT_BEARER:
        raise TokenRefused("invalid_request", f"the client_assertion_type is {JWT_BEARER}")
    return await _by_assertion(platform, form.get("client_assertion", ""), request)


async def forget_spent(session: AsyncSession, now: datetime) -> None:
    """Delete the assertions that have expired; the caller commits."""
    await session.execute(delete(SpentAssertion).where(col(SpentAssertion.expires_at) < now))


async def _by_assertion(platform: Platform, assertion: str, request: RequestInfo) -> Granted:
    read = jose.unverified(assertion)
    credential = str(read.claims.get("sub", "")) if read else ""
    kind, _, key = credential.partition(":")
    async with platform.database.session() as session:
        row = await find_worker_key(session, key) if kind == WORKER else None
    if row is None:
        raise TokenRefused("invalid_client", "the assertion names no machine that is known here")
    try:
        checked = _check_assertion(platform, assertion, row, credential)
        check_worker_key(platform.machines, row, platform.clock())
        await _use(platform, checked, row, request)
    except RefusedCredential as refused:
        await _record_refusal(platform, row, f"its key is refused: {refused.why}", request)
        raise TokenRefused("invalid_client", f"this machine is refused: {refused.why}") from None
    except TokenRefused as refused:
        await _record_refusal(platform, row, refused.message, request)
        raise
    token = platform.machines.sign(worker_actor(row).subject, credential, platform.clock())
    return Granted(token, platform.machines.seconds)


@dataclass(frozen=True, slots=True)
class _Checked:
    """An assertion that is good, unless it was used before."""

    jti: str
    until: datetime


def _check_assertion(
    platform: Platform, assertion: str, row: WorkerKey, credential: str
) -> _Checked:
    """Check the signature, for whom the assertion is, and its times (RFC 7523, section 3)."""
    try:
        claims = jose.verify_with_key(assertion, row.public_key, typ=None).claims
    except jose.JwtRefused:
        raise TokenRefused("invalid_client", "this machine did not sign the assertion") from None
    if claims.get("iss") != credential or claims.get("sub") != credential:
        raise TokenRefused("invalid_client", "iss and sub of the assertion are the machine")
    issuer = platform.machines.issuer
    audience = claims.get("aud")
    meant = audience if isinstance(audience, list) else [audience]
    if len(meant) != 1 or meant[0] not in {issuer, issuer + TOKEN_PATH}:
        raise TokenRefused("invalid_client", f"the audience of the assertion is {issuer}")
    until = _check_times(claims, platform.clock().timestamp())
    jti = claims.get("jti")
    if not isinstance(jti, str) or not 0 < len(jti) <= _MAX_JTI:
        raise TokenRefused("invalid_client", "the assertion has no id (jti)")
    return _Checked(jti, until)


def _check_times(claims: Mapping[str, JSON], now: float) -> datetime:
    until, since = claims.get("exp"), claims.get("iat")
    if not isinstance(until, int | float) or not isfinite(until) or until <= now:
        raise TokenRefused("invalid_client", "the assertion has expired: check the clock")
    if until > now + ASSERTION_SECONDS + SKEW_SECONDS:
        message = f"an assertion is good for at most {ASSERTION_SECONDS:.0f} seconds"
        raise TokenRefused("invalid_client", message)
    for each in (since, claims.get("nbf")):
        if each is not None and (not isinstance(each, int | float) or each > now + SKEW_SECONDS):
            raise TokenRefused("invalid_client", "the assertion is of the future: check the clock")
    return datetime.fromtimestamp(until, UTC)


async def _use(platform: Platform, checked: _Checked, row: WorkerKey, request: RequestInfo) -> None:
    """Note that the assertion is used, and where the machine was seen.

    Raises:
        TokenRefused: It was used before.
    """
    digest = hashlib.sha256(f"{WORKER}:{row.id}\n{checked.jti}".encode()).digest()
    async with platform.work(worker_actor(row), request) as work:
        new = await work.session.scalar(
            insert(SpentAssertion)
            .values(digest=digest, expires_at=checked.until + timedelta(seconds=SKEW_SECONDS))
            .on_conflict_do_nothing()
            .returning(col(SpentAssertion.expires_at))
        )
        if new is None:
            raise TokenRefused("invalid_client", "this assertion was used before")
        kept = await work.session.get(WorkerKey, row.id)
        if kept is None:
            raise TokenRefused("invalid_client", "this machine is gone")
        moved = kept.last_address != request.address
        kept.last_seen_at, kept.last_address = work.now, request.address
        await work.session.flush()
        if moved:
            await work.record(
                Tag.ACCESS_MACHINE_SIGN_IN, resource=f"{WORKER}:{row.id}", team=row.team
            )


async def _record_refusal(
    platform: Platform, row: WorkerKey, why: str, request: RequestInfo
) -> None:
    async with platform.work(worker_actor(row), request) as work:
        await work.record(
            Tag.ACCESS_MACHINE_REFUSE,
            resource=f"{WORKER}:{row.id}",
            team=row.team,
            reason=f"The machine was not signed in: {why}.",
            outcome=AuditOutcome.DENIED,
        )
