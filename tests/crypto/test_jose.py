from __future__ import annotations

import base64
import hmac
import json

import pytest

from coe.crypto.jose import sign_with_secret, unverified_claims

PUBLIC_KEY = """-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----
"""


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def test_a_secret_signs_with_hs256() -> None:
    head, payload, signature = sign_with_secret({"iss": "flows"}, "canary-canary-0001").split(".")
    assert json.loads(base64.urlsafe_b64decode(head + "==")) == {"alg": "HS256"}
    expected = hmac.digest(b"canary-canary-0001", f"{head}.{payload}".encode(), "sha256")
    assert base64.urlsafe_b64decode(signature + "=") == expected
    assert unverified_claims(f"{head}.{payload}.{signature}") == {"iss": "flows"}


@pytest.mark.parametrize("secret", ["", PUBLIC_KEY])
def test_a_secret_that_anybody_has_signs_nothing(secret: str) -> None:
    with pytest.raises(ValueError, match=r"empty|public keys"):
        sign_with_secret({}, secret)


def test_claims_are_read_under_a_header_with_certificates() -> None:
    header = {"alg": "RS256", "kid": "1", "nonce": "n", "x5c": ["c" * 4000]}
    assert unverified_claims(f"{part(header)}.{part({'iss': 'a'})}.c2ln") == {"iss": "a"}


@pytest.mark.parametrize(
    "token",
    ["", "opaque", "a.b.c", "a.b.c.d.e", "é.é.é", f"{part({'alg': 'RS256'})}.{part([1])}.c2ln"],
)
def test_an_opaque_token_has_no_claims(token: str) -> None:
    assert unverified_claims(token) == {}
