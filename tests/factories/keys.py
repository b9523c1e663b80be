"""Fixed signing keys, so that every run of a test signs the same bytes."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from coe.crypto.signing import SigningKey

LOG_NAME = "coe.test/audit"


def signing_key(seed: int = 1, *, name: str = LOG_NAME) -> SigningKey:
    """The key of a seed from 0 to 255."""
    return SigningKey(name, Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32))
