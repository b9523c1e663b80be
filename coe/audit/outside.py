"""The newest checkpoints outside the database, as whoever restores it finds them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from coe.audit.checkpoint import Checkpoint
from coe.audit.checkpoint_file import CheckpointFile, note_of
from coe.audit.signed_file import SignedFile
from coe.crypto.signing import NoteRefused, VerifyKey
from coe.errors import CoeError


@dataclass(slots=True)
class Outside:
    """What the places outside have, each by its path or name.

    Attributes:
        found: The newest checkpoints.
        unread: Why one has none that could be read: it is missing, empty or away.
        refused: Why one has something that is no checkpoint of this log.
        mute: The kinds of those that cannot be asked.
    """

    found: dict[str, Checkpoint] = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    mute: dict[str, str] = field(default_factory=dict)

    def add(self, place: str, note: str | None, key: VerifyKey) -> None:
        """Add what a place has; None for nothing."""
        if note is None:
            self.unread[place] = "missing or empty"
            return
        try:
            self.found[place] = Checkpoint.open(note, key)
        except NoteRefused as refused:
            self.refused[place] = refused.message


def add_files(outside: Outside, path: Path, key: VerifyKey) -> None:
    """Add the newest checkpoint of the file, and of the one beside it. It blocks."""
    signed = SignedFile(path)
    try:
        line = CheckpointFile(path).last_line()
        outside.add(str(path), None if line is None else note_of(line) or "", key)
    except OSError as error:
        outside.unread[str(path)] = type(error).__name__
    try:
        claimed = signed.read()
        outside.add(str(signed.path), claimed.note if claimed else None, key)
    except OSError as error:
        outside.unread[str(signed.path)] = type(error).__name__
    except CoeError as error:
        outside.refused[str(signed.path)] = error.message
