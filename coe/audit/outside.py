"""The newest checkpoints outside the database, as whoever restores it finds them."""

from __future__ import annotations

from pathlib import Path

from coe.audit.checkpoint import Checkpoint
from coe.audit.checkpoint_file import CheckpointFile, note_of
from coe.audit.signed_file import SignedFile
from coe.crypto.signing import NoteRefused, VerifyKey
from coe.errors import CoeError


def checkpoints_in_files(
    path: Path, key: VerifyKey
) -> tuple[dict[str, Checkpoint], dict[str, str]]:
    """The newest checkpoint of the file and of the one beside it, and why one cannot be used.

    Both are by the path of the file; one that is missing has a reason too. It blocks.
    """
    found: dict[str, Checkpoint] = {}
    problems: dict[str, str] = {}
    signed = SignedFile(path)
    try:
        line, claimed = CheckpointFile(path).last_line(), signed.read()
    except (OSError, CoeError) as error:
        return {}, {str(path): getattr(error, "message", type(error).__name__)}
    notes = {
        path: None if line is None else note_of(line) or "",
        signed.path: claimed.note if claimed else None,
    }
    for place, note in notes.items():
        if note is None:
            problems[str(place)] = "missing or empty"
            continue
        try:
            found[str(place)] = Checkpoint.open(note, key)
        except NoteRefused as refused:
            problems[str(place)] = refused.message
    return found, problems
