"""Exchange a token of a CI's issuer for an access token (RFC 8693), by the trust rules of teams.

So a job registers flows without a stored secret: the CI signs a token that says which repository
and which branch it runs for, and a rule of the team says for whom that stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from sqlalchemy import select
from sqlmodel import col

from coe.access.machine_models import TrustRule
from coe.access.machines import RefusedCredential, check_credential, machine_actor
from coe.crypto import jose
from coe.crypto.jwks import SignatureRefused
from coe.identity.discovery import Discovery, IssuerUnavailable
from coe.identity.patterns import fits
from coe.identity.sign_in import (
    Granted,
    TokenRefused,
    check_scope,
    check_times,
    granted,
    note_use,
    record_refusal,
)
from coe.json_types import JSON
from coe.work import Platform, RequestInfo

TOKEN_EXCHANGE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105  # a name
TOKEN_TYPES: Final = frozenset(
    {"urn:ietf:params:oauth:token-type:id_token", "urn:ietf:params:oauth:token-type:jwt"}
)
ACCESS_TOKEN_TYPE: Final = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105  # a name
_MAX_SHOWN: Final = 200


async def by_exchange(
    platform: Platform, discovery: Discovery, form: Mapping[str, str], request: RequestInfo
) -> Granted:
    """Give a job of a CI an access token for the token of its issuer.

    Where the rules of several teams fit, `audience` of the request names the team.

    Raises:
        TokenRefused: The token is not good, or no rule fits it.
    """
    if form.get("subject_token_type") not in TOKEN_TYPES:
        raise TokenRefused("invalid_request", "the subject_token_type is that of an id token")
    if form.get("requested_token_type", ACCESS_TOKEN_TYPE) != ACCESS_TOKEN_TYPE:
        raise TokenRefused("invalid_request", f"the requested_token_type is {ACCESS_TOKEN_TYPE}")
    token = form.get("subject_token", "")
    rules = await _rules(platform, token)
    claims = await _verified(discovery, rules[0].issuer, token)
    now = platform.clock().timestamp()
    until = check_times(claims, now, kind="token of the CI", error="invalid_grant")
    fitting = [each for each in rules if _stands_for(each, claims)]
    rule = _only(fitting, form.get("audience"), claims, platform.clock())
    try:
        check_credential(platform.machines, rule, platform.clock())
    except RefusedCredential as refused:
        await record_refusal(platform, rule, f"its rule is refused: {refused.why}", request)
        message = f"the trust rule is refused: {refused.why}"
        raise TokenRefused("invalid_grant", message) from None
    check_scope(rule, form)
    async with platform.work(machine_actor(rule), request) as work:
        detail: JSON = {"issuer": rule.issuer, "sub": str(claims.get("sub"))}
        await note_use(work, rule, always=True, detail=detail)
    return granted(platform, rule, seconds=max(1.0, until - platform.clock().timestamp()))


async def _rules(platform: Platform, token: str) -> list[TrustRule]:
    """The rules about the token's issuer, which must be one that the operator lets teams trust."""
    read = jose.unverified(token)
    issuer = read.claims.get("iss") if read else None
    if issuer not in platform.settings.ci_issuers:
        raise TokenRefused("invalid_grant", "no team trusts the issuer of this token")
    async with platform.database.session() as session:
        found = await session.scalars(
            select(TrustRule)
            .where(col(TrustRule.issuer) == issuer, col(TrustRule.revoked_at).is_(None))
            .order_by(col(TrustRule.created_at))
        )
        rules = list(found)
    if not rules:
        raise TokenRefused("invalid_grant", "no team trusts the issuer of this token")
    return rules


async def _verified(discovery: Discovery, issuer: str, token: str) -> dict[str, Any]:
    try:
        return (await discovery.verify(issuer, token)).claims
    except SignatureRefused as refused:
        message = f"the issuer did not sign this token: {refused}"
        raise TokenRefused("invalid_grant", message) from None
    except IssuerUnavailable:
        message = f"the keys of {issuer} cannot be had; try again shortly"
        raise TokenRefused("temporarily_unavailable", message) from None


def _stands_for(rule: TrustRule, claims: Mapping[str, Any]) -> bool:
    """Whether a rule fits a token whose signature holds."""
    subject, audience = claims.get("sub"), claims.get("aud")
    meant = audience if isinstance(audience, list) else [audience]
    return (
        claims.get("iss") == rule.issuer
        and meant == [rule.audience]
        and isinstance(subject, str)
        and fits(rule.subject_pattern, subject)
    )


def _only(
    fitting: list[TrustRule], team: str | None, claims: Mapping[str, Any], now: datetime
) -> TrustRule:
    wanted = [each for each in fitting if team in {None, each.team}]
    # An expired rule does not stand in the way of its successor; alone, it is refused as expired.
    wanted = [each for each in wanted if each.expires_at > now] or wanted
    if not wanted:
        subject = str(claims.get("sub"))[:_MAX_SHOWN]
        raise TokenRefused("invalid_grant", f"no trust rule fits the subject {subject!r}")
    if len(wanted) > 1:
        teams = ", ".join(sorted({f"{each.team} ({each.name})" for each in wanted}))
        message = f"several trust rules fit: {teams}; name the team as audience of the request"
        raise TokenRefused("invalid_target", message)
    return wanted[0]
