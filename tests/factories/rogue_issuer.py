"""An issuer that says what a test wants it to say: for answers that no honest provider gives."""

from __future__ import annotations

import base64
import hashlib
import json
import time
import warnings
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from joserfc import jws
from joserfc.jwk import ECKey, Key, OctKey
from joserfc.jws import JWSRegistry

SECRET = "the secret of the client at it"


@dataclass
class RogueIssuer:
    """One issuer, reached through the transport that `reach` makes."""

    url: str
    person: dict[str, Any]
    key: Key = field(default_factory=lambda: ECKey.generate_key("P-256", {"kid": "one"}))
    access_token: str = "an access token"
    metadata: dict[str, Any] = field(default_factory=dict)
    keys: dict[str, Any] | None = None
    id_token: str | None = None
    user_info: dict[str, Any] | None = None
    fetched: list[str] = field(default_factory=list)

    def entry(self, **changes: Any) -> dict[str, Any]:
        """Its entry in the file of issuers."""
        return {
            "title": "Acme",
            "url": self.url,
            "client_id": "coe",
            "client_secret": SECRET,
        } | changes

    def claims(self, asked_nonce: str | None, /, **changes: Any) -> dict[str, Any]:
        """What an honest ID token says, with changes; None takes a claim out."""
        now = int(time.time())
        digest = hashlib.sha256(self.access_token.encode()).digest()[:16]
        honest = {
            "iss": self.url,
            "aud": "coe",
            "iat": now,
            "exp": now + 300,
            "auth_time": now,
            "nonce": asked_nonce,
            "at_hash": base64.urlsafe_b64encode(digest).decode().rstrip("="),
            "sid": "their session",
            **self.person,
        }
        return {name: value for name, value in (honest | changes).items() if value is not None}

    def sign(self, claims: dict[str, Any], *, key: Key | None = None, **header: Any) -> str:
        """A token over these claims, by default with the issuer's key."""
        used = key or self.key
        head = {"alg": "HS256" if isinstance(used, OctKey) else "ES256", "kid": "one"} | header
        registry = JWSRegistry(algorithms=[head["alg"]], strict_check_header=False)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            content = json.dumps(claims).encode()
            return jws.serialize_compact(head, content, used, registry=registry)

    def answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        self.fetched.append(path)
        if path.endswith("/openid-configuration"):
            return httpx.Response(200, json=self.document())
        if path == "/jwks":
            public = {"keys": [self.key.as_dict(private=False)]}
            return httpx.Response(200, json=self.keys or public)
        if path == "/token" and self.id_token is not None:
            body = {"id_token": self.id_token, "access_token": self.access_token}
            return httpx.Response(200, json=body)
        if path == "/me" and self.user_info is not None:
            return httpx.Response(200, json=self.user_info)
        return httpx.Response(400, json={"error": "invalid_request"})

    def document(self) -> dict[str, Any]:
        base = self.url.rstrip("/")
        honest = {
            "issuer": self.url,
            "authorization_endpoint": f"{base}/authorize",
            "token_endpoint": f"{base}/token",
            "jwks_uri": f"{base}/jwks",
            "id_token_signing_alg_values_supported": ["ES256", "RS256", "HS256", "none"],
            "authorization_response_iss_parameter_supported": True,
        }
        if self.user_info is not None:
            honest["userinfo_endpoint"] = f"{base}/me"
        return honest | self.metadata


def reach(*issuers: RogueIssuer) -> httpx.AsyncClient:
    """A client that reaches these issuers alone."""
    by_host = {urlsplit(each.url).netloc: each for each in issuers}

    def answer(request: httpx.Request) -> httpx.Response:
        return by_host[request.url.netloc.decode()].answer(request)

    return httpx.AsyncClient(transport=httpx.MockTransport(answer))


def asked(url: str, name: str) -> str:
    """A parameter of the address to which a browser was sent."""
    return parse_qs(urlsplit(url).query)[name][0]
