"""The checks of an issuer's tokens: who signed in (ID token), and who signed out (logout token).

OpenID Connect Core 1.0, section 3.1.3.7; OpenID Connect Back-Channel Logout 1.0, section 2.6. The
signature is checked before (`coe.identity.discovery`).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isfinite
from typing import Any, Final

from coe.crypto.jwks import Verified
from coe.identity.signin.errors import Reason, SignInRefused

SKEW_SECONDS: Final = 60
"""How far the clocks of the issuer and the platform may be apart."""
MAX_AGE_SECONDS: Final = 600
"""How old an ID token may be: it is fetched right after it is made."""
LOGOUT_SECONDS: Final = 300
"""How old a logout token may be."""
LOGOUT_EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"
_MAX_TEXT: Final = 255
_TYPES: Final = frozenset({"", "jwt", "application/jwt"})
_LOGOUT_TYPES: Final = _TYPES | {"logout+jwt", "application/logout+jwt"}
_SHA: Final = {"256": hashlib.sha256, "384": hashlib.sha384, "512": hashlib.sha512}


@dataclass(frozen=True, slots=True)
class Identity:
    """Who an issuer says signed in, and how.

    `authenticated_at` is when they proved it to the issuer; where it does not say, None.
    """

    issuer: str
    external_id: str
    claims: Mapping[str, Any]
    authenticated_at: datetime | None
    issuer_session: str | None
    acr: str | None
    amr: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Logout:
    """Who signed out at the issuer: a person, one session, or both; `at` is when."""

    external_id: str | None
    issuer_session: str | None
    at: datetime


def check_id_token(
    token: Verified,
    *,
    issuer: str,
    client_id: str,
    nonce: str,
    access_token: str | None,
    now: datetime,
) -> Identity:
    """Check the claims of an ID token from the token endpoint.

    Raises:
        SignInRefused: One of them is not as it should be; the detail names it.
    """
    claims = token.claims
    _check_type(token, _TYPES)
    _check_issuer_and_audience(claims, issuer, client_id)
    _check_times(claims, now, oldest=MAX_AGE_SECONDS)
    if not _same(claims.get("nonce"), nonce):
        raise _refused("nonce")
    _check_access_token(token, access_token)
    return Identity(
        issuer=issuer,
        external_id=_text(claims, "sub", needed=True) or "",
        claims=claims,
        authenticated_at=_instant(claims, "auth_time"),
        issuer_session=_text(claims, "sid"),
        acr=_text(claims, "acr"),
        amr=_texts(claims.get("amr")),
    )


def check_logout_token(token: Verified, *, issuer: str, client_id: str, now: datetime) -> Logout:
    """Check the claims of a logout token.

    Raises:
        SignInRefused: One of them is not as it should be; the detail names it.
    """
    claims = token.claims
    _check_type(token, _LOGOUT_TYPES)
    _check_issuer_and_audience(claims, issuer, client_id)
    _check_times(claims, now, oldest=LOGOUT_SECONDS)
    events = claims.get("events")
    if not isinstance(events, dict) or not isinstance(events.get(LOGOUT_EVENT), dict):
        raise _refused("events")
    if "nonce" in claims:
        raise _refused("nonce")
    _text(claims, "jti", needed=True)
    subject, session = _text(claims, "sub"), _text(claims, "sid")
    if subject is None and session is None:
        raise _refused("sub or sid")
    at = _instant(claims, "iat")
    return Logout(subject, session, at or now)


def _check_type(token: Verified, types: frozenset[str]) -> None:
    """One kind of token never counts as another (RFC 8725, section 3.11)."""
    if str(token.header.get("typ", "")).lower() not in types:
        raise _refused("typ")


def _check_issuer_and_audience(claims: dict[str, Any], issuer: str, client_id: str) -> None:
    if not _same(claims.get("iss"), issuer):
        raise _refused("iss")
    audience = claims.get("aud")
    audiences = [audience] if isinstance(audience, str) else audience
    if not isinstance(audiences, list) or client_id not in audiences:
        raise _refused("aud")
    party = claims.get("azp")
    if (len(audiences) > 1 or party is not None) and not _same(party, client_id):
        raise _refused("azp")


def _check_times(claims: dict[str, Any], now: datetime, *, oldest: int) -> None:
    """Neither expired nor too old nor of the future, by at most the skew of the clocks."""
    at = now.timestamp()
    issued, expires = _number(claims, "iat"), _number(claims, "exp")
    if issued is None or not at - oldest - SKEW_SECONDS <= issued <= at + SKEW_SECONDS:
        raise _refused("iat")
    if expires is None or expires <= at - SKEW_SECONDS:
        raise _refused("exp")
    earliest = _number(claims, "nbf")
    if earliest is not None and earliest > at + SKEW_SECONDS:
        raise _refused("nbf")


def _check_access_token(token: Verified, access_token: str | None) -> None:
    """The token belongs to the access token that came with it (`at_hash`)."""
    given = token.claims.get("at_hash")
    if given is None:
        return
    algorithm = str(token.header.get("alg"))
    digest = _SHA.get(algorithm[-3:], hashlib.sha512)((access_token or "").encode()).digest()
    expected = base64.urlsafe_b64encode(digest[: len(digest) // 2]).decode().rstrip("=")
    if not _same(given, expected):
        raise _refused("at_hash")


def _same(given: object, expected: str) -> bool:
    return isinstance(given, str) and hmac.compare_digest(given.encode(), expected.encode())


def _text(claims: Mapping[str, Any], name: str, *, needed: bool = False) -> str | None:
    value = claims.get(name)
    if value is None and not needed:
        return None
    if not isinstance(value, str) or not 0 < len(value) <= _MAX_TEXT or "\x00" in value:
        raise _refused(name)
    return value


def _texts(value: object) -> tuple[str, ...]:
    listed = value if isinstance(value, list) else []
    return tuple(each for each in listed[:20] if isinstance(each, str) and len(each) <= _MAX_TEXT)


def _number(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise _refused(name)
    return value


def _instant(claims: Mapping[str, Any], name: str) -> datetime | None:
    value = _number(claims, name)
    try:
        return None if value is None else datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError):
        raise _refused(name) from None


def _refused(claim: str) -> SignInRefused:
    return SignInRefused(Reason.TOKEN_REFUSED, f"claim {claim}")
