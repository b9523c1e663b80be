"""A checkpoint: the signed size and root of the log (C2SP tlog-checkpoint, version 1.0.0).

    <origin>
    <tree size>
    <base64 of the root hash>
    time <UTC>

    — <origin> <base64 of key id and Ed25519 signature>

The origin is the name of the signing key. The `time` line is an extension line of the format.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Self

from coe.audit.canonical import format_instant
from coe.audit.merkle import HASH_BYTES
from coe.crypto.signing import NoteRefused, SigningKey, VerifyKey
from coe.formats import instants

_TIME: Final = "time "


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The size and root of the log at a time; the note holds the signature."""

    tree_size: int
    root_hash: bytes
    at: datetime
    note: str

    @classmethod
    def sign(cls, signer: SigningKey, tree_size: int, root_hash: bytes, at: datetime) -> Self:
        """Sign the size and root of the log."""
        note = signer.sign_note(_text(signer.name, tree_size, root_hash, at))
        return cls(tree_size, root_hash, at, note)

    @classmethod
    def open(cls, note: str, key: VerifyKey) -> Self:
        """Read a checkpoint that this key signed.

        Raises:
            NoteRefused: The signature is invalid, or the text is not a checkpoint of this log.
        """
        text = key.open_note(note)
        try:
            _, size, root, time = text.split("\n")[:4]
            checkpoint = cls(
                int(size),
                base64.b64decode(root, validate=True),
                instants.read(time.removeprefix(_TIME)),
                note,
            )
        except (ValueError, binascii.Error):
            raise NoteRefused("the note is not a checkpoint") from None
        again = _text(key.name, checkpoint.tree_size, checkpoint.root_hash, checkpoint.at)
        if again != text or len(checkpoint.root_hash) != HASH_BYTES:
            raise NoteRefused("the note is not a checkpoint of this log")
        return checkpoint


def _text(origin: str, tree_size: int, root_hash: bytes, at: datetime) -> str:
    root = base64.b64encode(root_hash).decode()
    return f"{origin}\n{tree_size}\n{root}\n{_TIME}{format_instant(at)}\n"
