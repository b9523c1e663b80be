"""JSON Web Tokens (RFC 7519) with joserfc: signed with a shared secret or an Ed25519 key."""

from __future__ import annotations

import base64
import binascii
import warnings
from dataclasses import dataclass
from typing import Final

import orjson
from joserfc import jws, jwt
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import OctKey, OKPKey

from coe.json_types import JSON

_HS256: Final = "HS256"
_ED25519: Final = "Ed25519"
_ED25519_NAMES: Final = (_ED25519, "EdDSA")
"""The names of RFC 9864 and of RFC 8037, which most libraries still write, for one algorithm."""
_KEY_BYTES: Final = 32


class JwtRefused(ValueError):
    """A token is malformed, of another type or algorithm, or the key did not sign it."""


@dataclass(frozen=True, slots=True)
class Jwt:
    """The header and the claims of a token."""

    header: dict[str, JSON]
    claims: dict[str, JSON]


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


def new_private_key() -> bytes:
    """A new Ed25519 private key: 32 random bytes."""
    return _base64url_bytes(str(OKPKey.generate_key(_ED25519).as_dict(private=True)["d"]))


def public_key_of(private: bytes) -> bytes:
    """The Ed25519 public key of a private one: 32 bytes."""
    return _base64url_bytes(str(_private(private).as_dict(private=False)["x"]))


def sign_with_key(
    claims: dict[str, JSON],
    private: bytes,
    *,
    typ: str,
    kid: str | None = None,
    with_public: bool = False,
) -> str:
    """Sign claims with an Ed25519 key (RFC 8037, RFC 9864) and return the token.

    Args:
        claims: The claims.
        private: The key: 32 bytes.
        typ: The type in the header, which the reader checks (RFC 8725, section 3.11).
        kid: The id of the key in the header.
        with_public: Put the public key into the header (`jwk`), for who does not know it yet.
    """
    key = _private(private)
    header: dict[str, JSON] = {"alg": _ED25519, "typ": typ}
    if kid is not None:
        header["kid"] = kid
    if with_public:
        header["jwk"] = {name: str(value) for name, value in key.as_dict(private=False).items()}
    return jwt.encode(header, claims, key, algorithms=[_ED25519])


def verify_with_key(token: str, public: bytes, *, typ: str | None) -> Jwt:
    """The content of a token that the owner of an Ed25519 key signed.

    The times and the audience are for the caller to check. A key within the token is not looked at.

    Args:
        token: The token.
        public: The public key: 32 bytes.
        typ: The type that the header must have; None if it may have any or none.

    Raises:
        JwtRefused: It is none, of another type or algorithm, or another key signed it.
    """
    key = OKPKey.import_key(
        {"kty": "OKP", "crv": _ED25519, "x": base64.urlsafe_b64encode(public).decode().rstrip("=")}
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SecurityWarning)
            read = jwt.decode(token, key, algorithms=list(_ED25519_NAMES))
    except (JoseError, ValueError, TypeError, KeyError):
        raise JwtRefused("the key did not sign this token") from None
    header = dict(read.header)
    if typ is not None and str(header.get("typ", "")).lower() != typ:
        raise JwtRefused(f"the token is not of the type {typ}")
    return Jwt(header, dict(read.claims))


def unverified(token: str) -> Jwt | None:
    """The header and the claims of a token without a check of its signature; None if it is none."""
    try:
        found = jws.extract_compact(token.encode(), registry=_REGISTRY)
        claims = orjson.loads(found.payload)
        header = dict(found.headers())
    except (JoseError, ValueError, TypeError):
        return None
    return Jwt(header, claims) if isinstance(claims, dict) else None


def key_in_header(token: str) -> bytes:
    """The Ed25519 public key in a token's header (`jwk`): for a proof that the sender has its half.

    Raises:
        JwtRefused: There is none.
    """
    read = unverified(token)
    found = read.header.get("jwk") if read else None
    if not isinstance(found, dict) or (found.get("kty"), found.get("crv")) != ("OKP", _ED25519):
        raise JwtRefused("the header has no Ed25519 key (jwk)")
    if "d" in found:
        raise JwtRefused("the header holds the private key")
    return read_public_key(str(found.get("x", "")))


def read_public_key(text: str) -> bytes:
    """An Ed25519 public key in base64url, the `x` of a JWK (RFC 8037).

    Raises:
        JwtRefused: It is none of 32 bytes.
    """
    public = _base64url_bytes(text)
    if len(public) != _KEY_BYTES:
        raise JwtRefused("an Ed25519 public key has 32 bytes, in base64url")
    return public


def _private(private: bytes) -> OKPKey:
    """The key as joserfc has it; its public half follows from the private one."""
    return OKPKey.import_key(_pem(private))


def _pem(private: bytes) -> bytes:
    """The PKCS #8 form (RFC 8410) of a private key, whose prefix never varies."""
    der = bytes.fromhex("302e020100300506032b657004220420") + private
    body = base64.b64encode(der).decode()
    return f"-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n".encode()


def _base64url_bytes(text: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        raise JwtRefused("this is not base64url") from None
