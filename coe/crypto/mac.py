"""Message authentication codes (HMAC-SHA-256) with keys that stand in a file outside the database.

Whoever can write the database, and no more, cannot make a code: a row with a valid code was written
by a process that has the file. The file has one key a line, as that of the key-encryption keys; the
last one makes new codes, and all of them verify. The file is given: nothing here makes it but
`create_keys`, for a new installation. From each a key of its own is derived for each
purpose (HKDF, RFC 5869), so that a code of one purpose is none of another.

To change the key, append a line to the file of every process (`coe.crypto.mac.add_key`). Remove the
old line when no code of it counts any more. Tokens, credentials and sessions end within a year. The
codes of rows (`coe.crypto.row_codes`) never end: `coe migrate --recode` makes them anew.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from coe.secret_files import (
    KeyFileMissing,
    SecretFileRefused,
    create_secret,
    read_secret,
    replace_secret,
)

KEY_BYTES: Final = 32
_ID_DIGITS: Final = 16
_LENGTH_BYTES: Final = 8


class MacPurpose(StrEnum):
    """What a code is for; each purpose has a derived key of its own."""

    ACCESS_TOKEN = "access token"  # noqa: S105  # the name of a purpose
    AUDIT_EVENT = "audit event"
    AUDIT_LOSS = "audit loss"
    CLIENT_SECRET = "client secret"  # noqa: S105  # the name of a purpose
    CSRF = "csrf token"
    ENROLMENT_CODE = "enrolment code"
    MACHINE = "machine"
    ROW = "row"
    SESSION = "session"
    SIGN_IN = "sign-in"


@dataclass(slots=True)
class MacKeys:
    """The keys of a file, read again when the file changes. The methods block to read it.

    Raises:
        SecretFileRefused: The file is missing, others can read it, a line is damaged, or it has no
            key.
    """

    path: Path
    _keys: tuple[bytes, ...] = field(default=(), repr=False)
    _version: tuple[int, int, int] | None = None
    _derived: dict[MacPurpose, tuple[bytes, ...]] = field(default_factory=dict, repr=False)

    def code(self, purpose: MacPurpose, *parts: bytes) -> bytes:
        """The code of some parts by the newest key: 32 bytes.

        The parts are told apart by their lengths: two lists of parts never have the same message.
        """
        return _code(self._for(purpose)[0], parts)

    def codes(self, purpose: MacPurpose, *parts: bytes) -> tuple[bytes, ...]:
        """The codes by every key, the newest first: for looking up a row by its code."""
        return tuple(_code(key, parts) for key in self._for(purpose))

    def verify(self, purpose: MacPurpose, code: bytes | None, *parts: bytes) -> bool:
        """Whether any of the keys made this code for these parts."""
        if code is None:
            return False
        fits = [hmac.compare_digest(code, each) for each in self.codes(purpose, *parts)]
        return any(fits)

    def _for(self, purpose: MacPurpose) -> tuple[bytes, ...]:
        """The derived keys of a purpose, the newest first."""
        self._refresh()
        keys = self._derived.get(purpose)
        if keys is None:
            keys = self._derived[purpose] = tuple(_derive(key, purpose) for key in self._keys[::-1])
        return keys

    def _refresh(self) -> None:
        try:
            status = self.path.stat()
        except FileNotFoundError:
            raise KeyFileMissing.at(self.path) from None
        version = (status.st_ino, status.st_ctime_ns, status.st_size)
        if version != self._version:
            self._keys = read_keys(self.path)
            self._derived = {}
            self._version = version


def read_keys(path: Path) -> tuple[bytes, ...]:
    """The keys of the file, the newest last.

    Raises:
        FileNotFoundError: The file is missing.
        SecretFileRefused: Others can read it, a line is damaged, or it has no key.
    """
    keys = tuple(_parse(path, line) for line in read_secret(path).decode("ascii").splitlines())
    if not keys:
        raise SecretFileRefused(f"{path} has no key")
    return keys


def create_keys(path: Path) -> bool:
    """Create the file with a new key if it is missing; return whether it was created."""
    return create_secret(path, _format((os.urandom(KEY_BYTES),)))


def add_key(path: Path) -> None:
    """Append a new random key, which makes all codes from now on.

    Raises:
        FileNotFoundError: The file is missing.
    """
    replace_secret(path, _format((*read_keys(path), os.urandom(KEY_BYTES))))


def _derive(key: bytes, purpose: MacPurpose) -> bytes:
    return HKDF(SHA256(), KEY_BYTES, salt=None, info=b"coe mac\n" + purpose.encode()).derive(key)


def _code(key: bytes, parts: tuple[bytes, ...]) -> bytes:
    message = b"".join(len(part).to_bytes(_LENGTH_BYTES, "big") + part for part in parts)
    return hmac.digest(key, message, "sha256")


def _format(keys: tuple[bytes, ...]) -> bytes:
    """A line for each key: its fingerprint, by which a damaged line is found, and the key."""
    return b"".join(b"%s %s\n" % (fingerprint(key).encode(), base64.b64encode(key)) for key in keys)


def fingerprint(key: bytes) -> str:
    """The public id of a key."""
    return hashlib.sha256(b"coe mac\n" + key).hexdigest()[:_ID_DIGITS]


def _parse(path: Path, line: str) -> bytes:
    try:
        key = base64.b64decode(line.rsplit(" ", maxsplit=1)[-1], validate=True)
    except binascii.Error:
        key = b""
    # Encoded again, it must be the same line: base64 ignores the low bits of its last letter.
    if len(key) != KEY_BYTES or _format((key,)).decode() != line + "\n":
        raise SecretFileRefused(f"{path} has a damaged line: restore the file from its backup")
    return key
