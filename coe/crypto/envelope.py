"""The envelope of a sealed value: AES-256-GCM, bound to the place where the value stands.

    magic "COE1" · data key id (16 bytes) · version (4, big-endian) · nonce (12) · ciphertext, tag

The associated data are the place (table, row, column, team), the purpose, and the key's id and
version, each with its length before it: a value that is moved to another row, column or team
does not open. The nonce is random, so a key serves for far fewer than 2^32 values
(NIST SP 800-38D, section 8.3); `coe.crypto.keys` counts.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Self
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from coe.errors import CoeError

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
_MAGIC: Final = b"COE1"
_HEADER: Final = struct.Struct(f">4s16sI{NONCE_BYTES}s")
_TAG_BYTES: Final = 16


class DoesNotOpen(CoeError):
    """A sealed value does not open: it was changed, moved, or its key is not to be had."""


@dataclass(frozen=True, slots=True)
class Cell:
    """Where a sealed value stands: a cell of a table, in the namespace of a team."""

    table: str
    row: str
    column: str
    team: str


@dataclass(frozen=True, slots=True)
class Header:
    """What stands in clear before the ciphertext."""

    key_id: UUID
    version: int
    nonce: bytes

    @classmethod
    def parse(cls, sealed: bytes) -> Self:
        """Read the header of a sealed value.

        Raises:
            DoesNotOpen: The bytes are no sealed value.
        """
        if len(sealed) < _HEADER.size + _TAG_BYTES or not sealed.startswith(_MAGIC):
            raise DoesNotOpen
        _, key_id, version, nonce = _HEADER.unpack_from(sealed)
        return cls(UUID(bytes=key_id), version, nonce)

    def pack(self) -> bytes:
        """The header's bytes."""
        return _HEADER.pack(_MAGIC, self.key_id.bytes, self.version, self.nonce)


@dataclass(frozen=True, slots=True)
class OpenKey:
    """A data key in the memory of this process."""

    id: UUID
    team: str
    purpose: str
    version: int
    cipher: AESGCM

    def seal(self, place: Cell, data: bytes) -> bytes:
        """Seal the data for the place."""
        header = Header(self.id, self.version, os.urandom(NONCE_BYTES))
        sealed = self.cipher.encrypt(header.nonce, data, self._associated(place))
        return header.pack() + sealed

    def open(self, place: Cell, sealed: bytes) -> bytes:
        """Open what was sealed for this place with this key.

        Raises:
            DoesNotOpen: A byte was changed, or the place is another one.
        """
        nonce = Header.parse(sealed).nonce
        try:
            return self.cipher.decrypt(nonce, sealed[_HEADER.size :], self._associated(place))
        except InvalidTag:
            raise DoesNotOpen from None

    def _associated(self, place: Cell) -> bytes:
        cell = associated_data(place.table, place.row)
        return cell + _end(place.column, place.team, self.purpose, self.id, self.version)


@lru_cache(maxsize=1024)
def _end(column: str, team: str, purpose: str, key_id: UUID, version: int) -> bytes:
    """What is the same for all rows of a table that are sealed with one key."""
    return associated_data(column, team, purpose, str(key_id), str(version))


def associated_data(*parts: str) -> bytes:
    """The parts as bytes that no other parts give: each with its length before it."""
    encoded = [part.encode() for part in parts]
    return b"".join(struct.pack(">I", len(part)) + part for part in encoded)
