"""Ed25519 signatures (RFC 8032), and signed notes with them (C2SP signed-note, version 1.0.0).

A key has a name; its id is the first four bytes of SHA-256 over name, newline, algorithm and
public key. The private key is in a file of mode 0600, in the form of Go's
`golang.org/x/mod/sumdb/note`, `PRIVATE+KEY+<name>+<id>+<base64>`; the verification key is
`<name>+<id>+<base64>`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from coe.errors import CoeError
from coe.secret_files import KeyFileMissing, SecretFileRefused, create_secret, read_secret

_ED25519: Final = b"\x01"
_PREFIX: Final = "PRIVATE+KEY+"
_ID_BYTES: Final = 4
_KEY_BYTES: Final = 32
_SIGNATURE_BYTES: Final = 64
_SIGNATURE_LINE: Final = "\N{EM DASH} "


class NoteRefused(CoeError):
    """A signed note is malformed or changed, or the given key did not sign it."""


class KeyRefused(CoeError):
    """This is not a verification key of the form `<name>+<id>+<base64>`."""

    of_operator = True


@dataclass(frozen=True, slots=True)
class VerifyKey:
    """A named public key."""

    name: str
    public: bytes

    @classmethod
    def parse(cls, vkey: str) -> Self:
        """Read a verification key.

        Raises:
            KeyRefused: The text is malformed, or its id does not fit the key.
        """
        if vkey.startswith(_PREFIX):
            raise KeyRefused("this is the private key: it stays where it is; give the public one")
        name, _, rest = vkey.partition("+")
        encoded = rest.partition("+")[2]
        try:
            decoded = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            raise KeyRefused from None
        key = cls(name, decoded[1:])
        if decoded[:1] != _ED25519 or len(key.public) != _KEY_BYTES:
            raise KeyRefused
        if key.text != vkey:
            raise KeyRefused("the id in this key is not that of its name and bytes: copy it again")
        return key

    @property
    def id(self) -> bytes:
        """The four bytes that distinguish keys of one name."""
        return _digest(self.name.encode() + b"\n" + _ED25519 + self.public)[:_ID_BYTES]

    @property
    def text(self) -> str:
        """The key in its text form."""
        encoded = base64.b64encode(_ED25519 + self.public).decode()
        return f"{self.name}+{self.id.hex()}+{encoded}"

    def verify(self, message: bytes, signature: bytes) -> bool:
        """Whether this key signed the message."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except InvalidSignature:
            return False
        return True

    def verify_digest(self, digest: str, signature: str) -> bool:
        """Whether this key signed the digest (`SigningKey.sign_digest`)."""
        try:
            return self.verify(bytes.fromhex(digest), base64.b64decode(signature, validate=True))
        except (binascii.Error, ValueError):
            return False

    def verify_statement(self, statement: bytes, signature: str) -> bool:
        """Whether this key signed the statement (`SigningKey.sign_statement`)."""
        try:
            decoded = base64.b64decode(signature, validate=True)
        except (binascii.Error, ValueError):
            return False
        return self.verify(statement, decoded)

    def open_note(self, note: str) -> str:
        """The text of a note that only this key signed, with its last newline.

        Raises:
            NoteRefused: A byte of the note was changed, or another key signed it.
        """
        text, signatures = split_note(note)
        if len(signatures) != 1 or not signatures[0].startswith(f"{self.name} "):
            raise NoteRefused(f"the note is not signed by {self.name} alone")
        encoded = signatures[0][len(self.name) + 1 :]
        try:
            decoded = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            raise NoteRefused from None
        whole = base64.b64encode(decoded).decode() == encoded
        if not whole or len(decoded) != _ID_BYTES + _SIGNATURE_BYTES:
            raise NoteRefused
        if decoded[:_ID_BYTES] != self.id:
            raise NoteRefused(f"the note is signed by another key than {self.text}")
        if not self.verify(text.encode(), decoded[_ID_BYTES:]):
            raise NoteRefused(f"the signature of {self.name} does not fit the note's text")
        return text


class SigningKey:
    """A named private key; the name has no white space and no plus sign."""

    def __init__(self, name: str, private: Ed25519PrivateKey) -> None:
        if not name or "+" in name or any(character.isspace() for character in name):
            raise KeyRefused(f"a key's name has no white space and no plus sign: {name!r}")
        self.name = name
        self._private = private
        self.public: Final = VerifyKey(name, private.public_key().public_bytes_raw())

    @classmethod
    def generate(cls, name: str) -> Self:
        """A new key, in memory only."""
        return cls(name, Ed25519PrivateKey.generate())

    @staticmethod
    def create(path: Path, name: str) -> bool:
        """Create the file with a new key if it is missing; return whether it was created."""
        return create_secret(path, _private_text(name, Ed25519PrivateKey.generate()).encode())

    @classmethod
    def load(cls, path: Path, name: str) -> Self:
        """The key of the file.

        Raises:
            SecretFileRefused: The file is missing, others can read it, its content is damaged, or
                the key has another name: a renamed log needs a new key.
        """
        try:
            content = read_secret(path)
        except FileNotFoundError:
            raise KeyFileMissing.at(path) from None
        try:
            key = cls.parse(content.decode())
        except (KeyRefused, UnicodeDecodeError):
            raise SecretFileRefused(f"{path} is damaged: restore it from its backup") from None
        if key.name != name:
            message = (
                f"{path} holds the key of the log {key.name}, and COE_LOG_ORIGIN says {name}: "
                "name the installation's settings with --config FILE or COE_CONFIG, or set "
                f"COE_LOG_ORIGIN={key.name}"
            )
            raise SecretFileRefused(message)
        return key

    def renamed(self, name: str) -> SigningKey:
        """The same private key under another name, for an epoch of the log."""
        return self if name == self.name else SigningKey(name, self._private)

    @property
    def vkey(self) -> str:
        """The verification key, for those who verify."""
        return self.public.text

    def derive(self, purpose: str) -> bytes:
        """Another secret of 32 bytes for one purpose (HKDF, RFC 5869), always the same.

        It says nothing of this key nor of those for other purposes, so that one file of the
        operator's serves for all of them.
        """
        info = b"coe derived key\n" + purpose.encode()
        kdf = HKDF(SHA256(), length=_KEY_BYTES, salt=None, info=info)
        return kdf.derive(self._private.private_bytes_raw())

    def sign(self, message: bytes) -> bytes:
        """The signature over the message: 64 bytes."""
        return self._private.sign(message)

    def sign_digest(self, digest: str) -> str:
        """The signature over the bytes of a hexadecimal SHA-256 digest, in base64.

        A digest's 32 bytes are shorter than any note, so no signature is valid for both.
        """
        decoded = bytes.fromhex(digest)
        if len(decoded) != hashlib.sha256().digest_size:
            raise ValueError("a SHA-256 digest has 64 hexadecimal digits")
        return base64.b64encode(self.sign(decoded)).decode()

    def sign_statement(self, statement: bytes) -> str:
        """The signature over canonical JSON with a `type`, in base64.

        It begins with a brace, as no note does, and is longer than a digest, so no signature is
        valid for two of them.
        """
        if not statement.startswith(b"{") or len(statement) <= hashlib.sha256().digest_size:
            raise ValueError("a statement is a JSON object of more than 32 bytes")
        return base64.b64encode(self.sign(statement)).decode()

    def sign_note(self, text: str) -> str:
        """The text, which ends with a newline, as a note signed by this key."""
        if not text.endswith("\n"):
            raise ValueError("the text of a note ends with a newline")
        encoded = base64.b64encode(self.public.id + self.sign(text.encode())).decode()
        return f"{text}\n{_SIGNATURE_LINE}{self.name} {encoded}\n"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a private key in the form of the file.

        Raises:
            KeyRefused: The text is malformed or damaged.
        """
        try:
            fields = text.strip().removeprefix(_PREFIX).split("+", 2)
            secret = base64.b64decode(fields[-1], validate=True)
            private = Ed25519PrivateKey.from_private_bytes(secret[1:])
        except ValueError:
            raise KeyRefused("this is not a private key of a signed note") from None
        if _private_text(fields[0], private) != text.strip() + "\n":
            raise KeyRefused("the private key is damaged")
        return cls(fields[0], private)


def _private_text(name: str, private: Ed25519PrivateKey) -> str:
    key = VerifyKey(name, private.public_key().public_bytes_raw())
    secret = base64.b64encode(_ED25519 + private.private_bytes_raw()).decode()
    return f"{_PREFIX}{name}+{key.id.hex()}+{secret}\n"


def split_note(note: str) -> tuple[str, list[str]]:
    """The text of a note, and each signature line without its dash.

    Raises:
        NoteRefused: The text is not a signed note.
    """
    text, separator, block = note.rpartition("\n\n")
    if not separator or not text or not block.endswith("\n"):
        raise NoteRefused
    lines = block[:-1].split("\n")
    if not all(line.startswith(_SIGNATURE_LINE) for line in lines):
        raise NoteRefused
    return text + "\n", [line.removeprefix(_SIGNATURE_LINE) for line in lines]


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
