"""JSON Web Tokens (RFC 7519) with joserfc: sign with a shared secret, read unverified claims."""

from __future__ import annotations

from typing import Final

import orjson
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from coe.json_types import JSON

_HS256: Final = "HS256"


class _Registry(jws.JWSRegistry):
    """Also takes headers with a chain of certificates (`x5c`), which the default refuses."""

    max_header_length = 16_384


_REGISTRY: Final = _Registry()


def sign_with_secret(claims: dict[str, JSON], secret: str) -> str:
    """Sign claims with HS256 (RFC 7518, section 3.2) and return the token.

    Raises:
        ValueError: The secret is empty, or is a public key.
    """
    key = OctKey.import_key(secret.encode())
    return jwt.encode({"alg": _HS256}, claims, key, algorithms=[_HS256], default_type=None)


def unverified_claims(token: str) -> dict[str, JSON]:
    """The claims of a signed token, without a check of its signature; {} of any other token."""
    try:
        claims = orjson.loads(jws.extract_compact(token.encode(), registry=_REGISTRY).payload)
    except (JoseError, orjson.JSONDecodeError):
        return {}
    return claims if isinstance(claims, dict) else {}
