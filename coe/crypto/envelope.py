"""The envelope of a sealed value: AES-256-GCM, bound to the cell that stores the value.

    magic "COE1" · data key id (16 bytes) · version (4, big-endian) · nonce (12) · ciphertext, tag

The associated data are the cell (table, row, column, team), the purpose, and the key's id and
version, each preceded by its length: a value that is moved to another row, column or team does not
open. Nonces are random, so a key may seal at most 2^32 values (NIST SP 800-38D, section 8.3);
`coe.crypto.keys` counts them.
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
    """A sealed value does not open: it was changed or moved, or its key is missing."""


@dataclass(frozen=True, slots=True)
class Cell:
    """The cell of a table that stores a sealed value, in the namespace of a team."""

    table: str
    row: str
    column: str
    team: str


@dataclass(frozen=True, slots=True)
class Header:
    """The part in clear before the ciphertext."""

    key_id: UUID
    version: int
    nonce: bytes

    @classmethod
    def parse(cls, sealed: bytes) -> Self:
        """Read the header of a sealed value.

        Raises:
            DoesNotOpen: The bytes are not a sealed value.
        """
        if len(sealed) < _HEADER.size + _TAG_BYTES or not sealed.startswith(_MAGIC):
            raise DoesNotOpen
        _, key_id, version, nonce = _HEADER.unpack_from(sealed)
        return cls(UUID(bytes=key_id), version, nonce)

    def pack(self) -> bytes:
        """The bytes of the header."""
        return _HEADER.pack(_MAGIC, self.key_id.bytes, self.version, self.nonce)


@dataclass(frozen=True, slots=True)
class OpenKey:
    """A data key in the memory of this process."""

    id: UUID
    team: str
    purpose: str
    version: int
    cipher: AESGCM

    def seal(self, cell: Cell, data: bytes) -> bytes:
        """Seal the data for the cell."""
        header = Header(self.id, self.version, os.urandom(NONCE_BYTES))
        sealed = self.cipher.encrypt(header.nonce, data, self._associated(cell))
        return header.pack() + sealed

    def open(self, cell: Cell, sealed: bytes) -> bytes:
        """Open a value that this key sealed for the cell.

        Raises:
            DoesNotOpen: A byte was changed, or it was sealed for another cell.
        """
        nonce = Header.parse(sealed).nonce
        try:
            return self.cipher.decrypt(nonce, sealed[_HEADER.size :], self._associated(cell))
        except InvalidTag:
            raise DoesNotOpen from None

    def _associated(self, cell: Cell) -> bytes:
        start = associated_data(cell.table, cell.row)
        return start + _key_data(cell.column, cell.team, self.purpose, self.id, self.version)


@lru_cache(maxsize=1024)
def _key_data(column: str, team: str, purpose: str, key_id: UUID, version: int) -> bytes:
    """The associated data that all rows share, for one column and one key."""
    return associated_data(column, team, purpose, str(key_id), str(version))


def associated_data(*parts: str) -> bytes:
    """The parts as unambiguous bytes: each is preceded by its length."""
    encoded = [part.encode() for part in parts]
    return b"".join(struct.pack(">I", len(part)) + part for part in encoded)
