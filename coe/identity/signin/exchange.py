"""The two messages of a sign-in: where the browser goes, and the code that comes back for tokens.

Authorization code with PKCE (RFC 6749, RFC 7636, RFC 9700); the answer names the
issuer (RFC 9207).
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

import httpx

from coe.crypto.jwks import SignatureRefused, sign_assertion
from coe.identity.discovery import Discovery, IssuerUnavailable, Metadata
from coe.identity.signin.errors import Reason, SignInRefused
from coe.identity.signin.id_token import Identity, check_id_token
from coe.identity.signin.issuers import Issuer
from coe.identity.signin.pending import Pending
from coe.json_types import JSON

_ASSERTION: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_ASSERTION_LIFE: Final = timedelta(minutes=2)
_REFUSALS: Final = range(400, 500)


async def authorization_url(
    discovery: Discovery, issuer: Issuer, pending: Pending, redirect_uri: str
) -> str:
    """Where the browser goes to sign in; afresh if `pending` belongs to a session.

    Raises:
        IssuerUnavailable: The issuer does not answer.
    """
    metadata = await discovery.metadata(issuer.url)
    if metadata.authorization_endpoint is None:
        raise IssuerUnavailable
    fresh = pending.session is not None
    query = {
        "response_type": "code",
        "client_id": issuer.client_id,
        "redirect_uri": redirect_uri,
        "scope": " ".join(issuer.scopes),
        "state": pending.state,
        "nonce": pending.nonce,
        "code_challenge": pending.challenge,
        "code_challenge_method": "S256",
        # Asked for, the issuer has to say when the person proved who they are.
        "max_age": "0" if fresh else str(issuer.max_age_minutes * 60),
    }
    if fresh:
        query["prompt"] = "login"
        if issuer.step_up.acr:
            query["acr_values"] = " ".join(issuer.step_up.acr)
    endpoint = metadata.authorization_endpoint
    return endpoint + ("&" if urlsplit(endpoint).query else "?") + urlencode(query)


async def read_answer(discovery: Discovery, issuer: Issuer, answer: Mapping[str, str]) -> str:
    """The code in the issuer's answer to the browser.

    Raises:
        SignInRefused: It is an error, or the answer of another issuer.
        IssuerUnavailable: The issuer does not answer.
    """
    metadata = await discovery.metadata(issuer.url)
    named = answer.get("iss")
    if named != issuer.url and (named is not None or metadata.names_itself):
        raise SignInRefused(Reason.ANSWER_OF_ANOTHER, "iss of the answer")
    if "error" in answer:
        raise SignInRefused(Reason.ISSUER_REFUSED, answer["error"][:100])
    code = answer.get("code")
    if not code:
        raise SignInRefused(Reason.ISSUER_REFUSED, "no code")
    return code


async def redeem(
    discovery: Discovery,
    issuer: Issuer,
    pending: Pending,
    *,
    code: str,
    redirect_uri: str,
    now: datetime,
) -> Identity:
    """Who signed in: the code is exchanged for tokens, which are checked, and not kept.

    Raises:
        SignInRefused: The issuer refuses the code, or a token is not good.
        IssuerUnavailable: The issuer does not answer.
    """
    metadata = await discovery.metadata(issuer.url)
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": redirect_uri,
        "code_verifier": pending.verifier,
    }
    tokens = await _tokens(discovery, issuer, metadata, form, now=now)
    id_token, access_token = tokens.get("id_token"), tokens.get("access_token")
    if not isinstance(id_token, str):
        raise SignInRefused(Reason.TOKEN_REFUSED, "no id_token")
    bearer = access_token if isinstance(access_token, str) else None
    try:
        verified = await discovery.verify(issuer.url, id_token)
    except SignatureRefused as error:
        raise SignInRefused(Reason.TOKEN_REFUSED, str(error)) from None
    identity = check_id_token(
        verified,
        issuer=issuer.url,
        client_id=issuer.client_id,
        nonce=pending.nonce,
        access_token=bearer,
        now=now,
    )
    return await _with_user_info(discovery, metadata, identity, bearer)


async def _tokens(
    discovery: Discovery,
    issuer: Issuer,
    metadata: Metadata,
    form: dict[str, str],
    *,
    now: datetime,
) -> dict[str, Any]:
    if metadata.token_endpoint is None:
        raise IssuerUnavailable
    auth = _authenticate(issuer, metadata, form, now)
    request = discovery.client.build_request("POST", metadata.token_endpoint, data=form)
    if auth is not None:
        request.headers["Authorization"] = auth
    try:
        answer = await discovery.read_answer(request)
    except IssuerUnavailable as error:
        status = error.extensions.get("status")
        if isinstance(status, int) and status in _REFUSALS:
            raise SignInRefused(Reason.CODE_REFUSED, f"status {status}") from None
        raise
    if not isinstance(answer, dict):
        raise SignInRefused(Reason.TOKEN_REFUSED, "no object")
    return answer


def _authenticate(
    issuer: Issuer, metadata: Metadata, form: dict[str, str], now: datetime
) -> str | None:
    """Prove to be the client, in the form or by the header that is returned."""
    if issuer.private_key is not None:
        form["client_id"] = issuer.client_id
        form["client_assertion_type"] = _ASSERTION
        form["client_assertion"] = _assertion(issuer, metadata, now)
        return None
    secret = issuer.client_secret.get_secret_value() if issuer.client_secret else ""
    if "client_secret_basic" not in metadata.auth_methods:
        form["client_id"], form["client_secret"] = issuer.client_id, secret
        return None
    # RFC 6749, section 2.3.1: both are form-encoded first.
    basic = httpx.BasicAuth(quote(issuer.client_id, safe=""), quote(secret, safe=""))
    request = next(basic.auth_flow(httpx.Request("POST", metadata.issuer)))
    return request.headers["Authorization"]


def _assertion(issuer: Issuer, metadata: Metadata, now: datetime) -> str:
    """A token that the client signs to authenticate (RFC 7523, `private_key_jwt`)."""
    key = issuer.private_key.get_secret_value() if issuer.private_key else ""
    claims: dict[str, JSON] = {
        "iss": issuer.client_id,
        "sub": issuer.client_id,
        "aud": metadata.token_endpoint,
        "jti": secrets.token_urlsafe(16),
        "iat": int(now.timestamp()),
        "exp": int((now + _ASSERTION_LIFE).timestamp()),
    }
    try:
        return sign_assertion(claims, key, issuer.algorithm, key_id=issuer.key_id)
    except ValueError:
        raise IssuerUnavailable("The private key of the client cannot be used.") from None


async def _with_user_info(
    discovery: Discovery, metadata: Metadata, identity: Identity, access_token: str | None
) -> Identity:
    """The identity with the claims that only the issuer's UserInfo endpoint has."""
    if metadata.userinfo_endpoint is None or access_token is None:
        return identity
    info = await discovery.fetch(metadata.userinfo_endpoint, Authorization=f"Bearer {access_token}")
    if not isinstance(info, dict) or info.get("sub") != identity.external_id:
        raise SignInRefused(Reason.TOKEN_REFUSED, "UserInfo of another subject")
    return replace(identity, claims={**info, **identity.claims})
