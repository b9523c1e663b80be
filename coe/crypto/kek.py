"""The key-encryption keys: a file with one key a line; the last one wraps new data keys.

    <id> <base64 of 32 bytes>

The id is a fingerprint of the key, so a damaged line is detected. Older keys stay in the file until
every data key is wrapped again (`coe.crypto.rotation`).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from coe.crypto.envelope import KEY_BYTES, NONCE_BYTES, DoesNotOpen, associated_data
from coe.secret_files import (
    SecretFileRefused,
    create_secret,
    read_secret,
    replace_secret,
)


@dataclass(frozen=True, slots=True)
class Kek:
    """One key-encryption key."""

    id: str
    key: bytes = field(repr=False)

    @classmethod
    def generate(cls) -> Self:
        """A new random key."""
        return cls.of(os.urandom(KEY_BYTES))

    @classmethod
    def of(cls, key: bytes) -> Self:
        """The key, with its fingerprint as id."""
        return cls(hashlib.sha256(b"coe kek\n" + key).hexdigest()[:16], key)

    def wrap(
        self, data_key: bytes, *, key_id: UUID, team: str, purpose: str, version: int
    ) -> bytes:
        """Encrypt a data key for its row: nonce, ciphertext and tag."""
        nonce = os.urandom(NONCE_BYTES)
        bound = associated_data("data_keys", str(key_id), team, purpose, str(version), self.id)
        return nonce + AESGCM(self.key).encrypt(nonce, data_key, bound)

    def unwrap(
        self, wrapped: bytes, *, key_id: UUID, team: str, purpose: str, version: int
    ) -> bytes:
        """Decrypt the data key of a row.

        Raises:
            DoesNotOpen: The row was changed.
        """
        bound = associated_data("data_keys", str(key_id), team, purpose, str(version), self.id)
        try:
            return AESGCM(self.key).decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], bound)
        except (InvalidTag, ValueError):
            raise DoesNotOpen from None


def read_keks(path: Path) -> tuple[Kek, ...]:
    """The keys of the file, the active one last.

    Raises:
        FileNotFoundError: The file is missing.
        SecretFileRefused: Others can read it, or a line is damaged.
    """
    keks = tuple(_parse(path, line) for line in read_secret(path).decode("ascii").splitlines())
    if not keks:
        raise SecretFileRefused(f"{path} has no key-encryption key")
    return keks


def create_keks(path: Path) -> bool:
    """Create the file with a new key if it is missing; return whether it was created."""
    return create_secret(path, _format((Kek.generate(),)))


def write_keks(path: Path, keks: Sequence[Kek]) -> None:
    """Replace the keys of the file atomically."""
    replace_secret(path, _format(keks))


def _format(keks: Sequence[Kek]) -> bytes:
    return b"".join(b"%s %s\n" % (kek.id.encode(), base64.b64encode(kek.key)) for kek in keks)


def _parse(path: Path, line: str) -> Kek:
    fields = line.split(" ")
    try:
        kek = Kek.of(base64.b64decode(fields[-1], validate=True))
    except binascii.Error:
        kek = None
    # Encoded again, it must be the same line: base64 ignores the low bits of its last letter.
    if kek is None or len(kek.key) != KEY_BYTES or _format((kek,)).decode() != line + "\n":
        raise SecretFileRefused(f"{path} has a damaged line: restore the file from its backup")
    return kek
