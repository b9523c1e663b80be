"""Tokens that others sign: their public keys (RFC 7517), the check, and assertions of a client."""

from __future__ import annotations

import warnings
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

from joserfc import jws, jwt
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import ECKey, JWKRegistry, Key, OKPKey, RSAKey

from coe.json_types import JSON

ALGORITHMS: Final = (
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
    "Ed25519",
)
"""Signatures with a private key, all of them: never `none`, never one with a shared secret."""

MAX_KEYS: Final = 100
MAX_TOKEN: Final = 32_768
"""The most characters of a token; the larger ones carry groups by the hundred."""
_RSA_BITS: Final = range(2048, 8193)
_TYPES: Final = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}
_PUBLIC: Final = {
    "RSA": ("kty", "kid", "n", "e"),
    "EC": ("kty", "kid", "crv", "x", "y"),
    "OKP": ("kty", "kid", "crv", "x"),
}


class SignatureRefused(ValueError):
    """A token is malformed, or none of the issuer's keys signed it; the message says which."""


class UnknownKey(SignatureRefused):
    """The token names a key that is not among these: perhaps the issuer has new ones."""


@dataclass(frozen=True, slots=True)
class Verified:
    """The header and the claims of a token whose signature holds; nothing else is checked."""

    header: dict[str, Any]
    claims: dict[str, Any]


class PublicKeys:
    """The keys with which an issuer signs, from its document (`jwks_uri`)."""

    def __init__(self, document: object) -> None:
        """Read the keys that can check a signature; others in the document are left out.

        Raises:
            ValueError: It is not a key set, or has none.
        """
        listed = document.get("keys") if isinstance(document, dict) else None
        if not isinstance(listed, list) or len(listed) > MAX_KEYS:
            raise ValueError("it is not a key set")
        self._keys = tuple(key for each in listed if (key := _public_key(each)) is not None)
        if not self._keys:
            raise ValueError("it has no key that can check a signature")

    def verify(self, token: str, algorithms: Collection[str] = ALGORITHMS) -> Verified:
        """The content of a token that one of these keys signed with one of these algorithms.

        Raises:
            UnknownKey: It names a key that is not here.
            SignatureRefused: It is malformed, of another algorithm, or not signed by the key.
        """
        header = header_of(token)
        allowed = [each for each in algorithms if each in ALGORITHMS]
        algorithm = header.get("alg")
        if algorithm not in allowed:
            raise SignatureRefused("it is signed with an algorithm that is not accepted")
        kind, kid = _TYPES[str(algorithm)[:2]], header.get("kid")
        fitting = [key for key in self._keys if key.key_type == kind]
        if kid is not None:
            fitting = [key for key in fitting if key.kid == kid]
        if not fitting:
            raise UnknownKey("it names a key that the issuer does not have")
        for key in fitting:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", SecurityWarning)
                    read = jwt.decode(token, key, algorithms=allowed, registry=_REGISTRY)
            except (JoseError, ValueError, TypeError):
                continue
            return Verified(dict(read.header), dict(read.claims))
        raise SignatureRefused("its signature does not hold")


def header_of(token: str) -> dict[str, Any]:
    """The header of a signed token, before any check.

    Raises:
        SignatureRefused: It is no signed token, or too long.
    """
    if len(token) > MAX_TOKEN:
        raise SignatureRefused("it is too long")
    try:
        return dict(jws.extract_compact(token.encode(), registry=_REGISTRY).headers())
    except (JoseError, ValueError, TypeError):
        raise SignatureRefused("it is not a signed token") from None


def sign_assertion(
    claims: dict[str, JSON], private_key: str, algorithm: str, *, key_id: str | None = None
) -> str:
    """Sign claims with a private key in PEM (`private_key_jwt`), and return the token.

    Raises:
        ValueError: The key cannot be read, or is not of the algorithm.
    """
    kinds: dict[str, type[RSAKey | ECKey | OKPKey]] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}
    header: dict[str, Any] = {"alg": algorithm}
    if key_id is not None:
        header["kid"] = key_id
    try:
        key = kinds[_TYPES[algorithm[:2]]].import_key(private_key)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SecurityWarning)
            return jwt.encode(header, dict(claims), key, algorithms=[algorithm])
    except (JoseError, ValueError, TypeError, KeyError):
        raise ValueError("the private key cannot be used") from None


class _Registry(jws.JWSRegistry):
    """Takes the headers of issuers, some with a chain of certificates, which are not looked at."""

    max_header_length = 16_384
    max_payload_length = MAX_TOKEN


_REGISTRY: Final = _Registry(algorithms=list(ALGORITHMS), strict_check_header=False)


def _public_key(data: object) -> Key | None:
    """A key that can check a signature: an asymmetric one, its public half alone."""
    if not isinstance(data, dict) or data.get("use", "sig") != "sig":
        return None
    names = _PUBLIC.get(str(data.get("kty")))
    if names is None:
        return None
    try:
        key = JWKRegistry.import_key({name: data[name] for name in names if name in data})
        if isinstance(key, RSAKey) and key.public_key.key_size not in _RSA_BITS:
            return None
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    return key
