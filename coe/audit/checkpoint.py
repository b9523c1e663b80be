"""A checkpoint: the signed size and root of the log (C2SP tlog-checkpoint, version 1.0.0).

    <origin>
    <tree size>
    <base64 of the root hash>
    time <UTC>
    loss <kept> <root> <lost> <digest> <time> <proposed by> <approved by>

    — <origin> <base64 of key id and Ed25519 signature>

The origin is the name of the signing key. The `time` line is an extension line of the format, and
so is each `loss` line: events that were sealed are gone, and two people have accepted that
(`coe.audit.losses`). Every later checkpoint repeats the line. It begins a new epoch: the origin is
`<name>/epoch-2` after the first loss, so that witnesses see another log, with the same key.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, Self
from urllib.parse import quote, unquote

from coe.audit.canonical import format_instant
from coe.audit.merkle import HASH_BYTES
from coe.crypto.signing import NoteRefused, SigningKey, VerifyKey, split_note
from coe.formats import instants

_TIME: Final = "time "
_LOSS: Final = "loss "
_HEAD_LINES: Final = 4


@dataclass(frozen=True, slots=True)
class AcceptedLoss:
    """Sealed events that are gone, and who accepted it: part of every later checkpoint.

    Attributes:
        kept_size: How many events the log has kept; it goes on from there.
        kept_root: The root of those.
        lost_size: The size of the newest checkpoint that the log does not continue.
        lost_digest: The SHA-256 of its note.
        at: When it was approved.
        proposed_by: Who proposed to accept it.
        approved_by: Who approved.
    """

    kept_size: int
    kept_root: bytes
    lost_size: int
    lost_digest: bytes
    at: datetime
    proposed_by: str
    approved_by: str

    @property
    def positions(self) -> str:
        """Which positions are lost, for people."""
        return lost_positions(self.kept_size, self.lost_size)

    @property
    def line(self) -> str:
        """The loss as a line of a checkpoint."""
        fields = (
            str(self.kept_size),
            base64.b64encode(self.kept_root).decode(),
            str(self.lost_size),
            base64.b64encode(self.lost_digest).decode(),
            format_instant(self.at),
            quote(self.proposed_by, safe=":@"),
            quote(self.approved_by, safe=":@"),
        )
        return _LOSS + " ".join(fields)

    @classmethod
    def read(cls, line: str) -> Self:
        """The loss of a line.

        Raises:
            ValueError: It is none.
        """
        kept, root, lost, digest, at, proposed, approved = line.removeprefix(_LOSS).split(" ")
        return cls(
            int(kept),
            base64.b64decode(root, validate=True),
            int(lost),
            base64.b64decode(digest, validate=True),
            instants.read(at),
            unquote(proposed),
            unquote(approved),
        )


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The size and root of the log at a time; the note holds the signature, and the losses."""

    tree_size: int
    root_hash: bytes
    at: datetime
    note: str
    losses: tuple[AcceptedLoss, ...] = field(default=(), compare=False)

    @classmethod
    def sign(
        cls,
        signer: SigningKey,
        tree_size: int,
        root_hash: bytes,
        at: datetime,
        losses: Sequence[AcceptedLoss] = (),
    ) -> Self:
        """Sign the size and root of the log."""
        key = signer.renamed(origin_of(signer.name, losses))
        note = key.sign_note(_text(key.name, tree_size, root_hash, at, losses))
        return cls(tree_size, root_hash, at, note, tuple(losses))

    @classmethod
    def open(cls, note: str, key: VerifyKey) -> Self:
        """Read a checkpoint that this key signed, of any epoch of its log.

        Raises:
            NoteRefused: The signature is invalid, or the text is not a checkpoint of this log.
        """
        losses = _losses(note)
        key = replace(key, name=origin_of(key.name, losses))
        text = key.open_note(note)
        try:
            _, size, root, time = text.split("\n")[:_HEAD_LINES]
            checkpoint = cls(
                int(size),
                base64.b64decode(root, validate=True),
                instants.read(time.removeprefix(_TIME)),
                note,
                losses,
            )
        except (ValueError, binascii.Error):
            raise NoteRefused("the note is not a checkpoint") from None
        again = _text(key.name, checkpoint.tree_size, checkpoint.root_hash, checkpoint.at, losses)
        if again != text or len(checkpoint.root_hash) != HASH_BYTES:
            raise NoteRefused("the note is not a checkpoint of this log")
        return checkpoint

    @classmethod
    def stored(cls, tree_size: int, root_hash: bytes, at: datetime, note: str) -> Self:
        """A checkpoint as the database has it, which nobody has verified yet."""
        return cls(tree_size, root_hash, at, note, losses_of(note))

    @property
    def epoch(self) -> int:
        """From 1; each accepted loss begins another."""
        return len(self.losses) + 1

    @property
    def place(self) -> tuple[int, int]:
        """The order of the checkpoints of a log: by epoch, then by size."""
        return self.epoch, self.tree_size

    @property
    def digest(self) -> bytes:
        """The SHA-256 of the note."""
        return hashlib.sha256(self.note.encode()).digest()

    def lost_by(self, losses: Sequence[AcceptedLoss]) -> AcceptedLoss | None:
        """The loss by which the log does not continue this checkpoint; None if it has to."""
        for loss in losses[self.epoch - 1 :]:
            if self.tree_size > loss.kept_size:
                return loss
        return None


def lost_positions(kept_size: int, lost_size: int) -> str:
    """Which positions are lost between two sizes, for people."""
    if lost_size <= kept_size:
        return f"what was sealed beside {kept_size} events"
    last = lost_size - 1
    return f"position {last}" if last == kept_size else f"positions {kept_size} to {last}"


def kept_roots(losses: Sequence[AcceptedLoss]) -> dict[int, AcceptedLoss]:
    """The losses whose kept events the log still has, by their number: the root there is known."""
    return {
        loss.kept_size: loss
        for number, loss in enumerate(losses)
        if all(loss.kept_size <= later.kept_size for later in losses[number + 1 :])
    }


def origin_of(name: str, losses: Sequence[AcceptedLoss]) -> str:
    """The origin of a log's checkpoints after these losses."""
    return f"{name}/epoch-{len(losses) + 1}" if losses else name


def place_of(note: str) -> tuple[int, int]:
    """The epoch and the size in a note, without verification; zeros if it is none."""
    fields = note.split("\n")
    if len(fields) < _HEAD_LINES or not fields[1].isdecimal():
        return 0, 0
    return 1 + sum(each.startswith(_LOSS) for each in fields[_HEAD_LINES:]), int(fields[1])


def losses_of(note: str) -> tuple[AcceptedLoss, ...]:
    """The losses that a note names, without verification; none if it is none."""
    try:
        return _losses(note)
    except NoteRefused:
        return ()


def _losses(note: str) -> tuple[AcceptedLoss, ...]:
    text, _ = split_note(note)
    lines = text.split("\n")[_HEAD_LINES:-1]
    try:
        return tuple(AcceptedLoss.read(each) for each in lines if each.startswith(_LOSS))
    except ValueError:
        raise NoteRefused("a line of the note is not the loss that it seems to be") from None


def _text(
    origin: str, tree_size: int, root_hash: bytes, at: datetime, losses: Sequence[AcceptedLoss]
) -> str:
    root = base64.b64encode(root_hash).decode()
    lines = [origin, str(tree_size), root, f"{_TIME}{format_instant(at)}"]
    return "".join(f"{each}\n" for each in [*lines, *(loss.line for loss in losses)])
