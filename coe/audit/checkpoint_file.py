"""The checkpoint file: signed notes outside the database, each line a JSON string.

Somebody who rewrites the database cannot make it agree with this file again. An append holds a lock
and syncs the file. A crash can leave an incomplete last line, which was never acknowledged; the
next append drops it.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final

import orjson

from coe.audit.checkpoint import place_of
from coe.secret_files import sync_folder

_TAIL: Final = 1 << 16
"""Bytes read from the end of the file to find the last line; a note has some 300."""


class CheckpointFile:
    """The checkpoint file at a path, which may not exist yet. Its methods block."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def last_line(self) -> bytes | None:
        """The last complete line; None if the file is empty or missing."""
        try:
            with self.path.open("rb") as file:
                return _last_line(file)
        except FileNotFoundError:
            return None

    def append(self, notes: Sequence[str]) -> None:
        """Append the notes in order; return when they are on disk.

        Notes up to the last one in the file are skipped: another process has appended them.
        """
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with open(descriptor, "r+b") as file:  # noqa: PTH123  # the descriptor made with its mode
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            file.truncate(_whole_lines(file))
            last = place_of(note_of(_last_line(file) or b"") or "")
            file.seek(0, os.SEEK_END)
            file.writelines(orjson.dumps(note) + b"\n" for note in notes if place_of(note) > last)
            file.flush()
            os.fsync(descriptor)
        sync_folder(self.path.parent)

    def size(self) -> int:
        """The length of the file in bytes; 0 if it is missing."""
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    def notes(self, until: int | None = None) -> Iterator[str | None]:
        """The notes of the first `until` bytes, in order; None for a line that is not a note."""
        read = 0
        with self.path.open("rb") as file:
            for line in file:
                read += len(line)
                if until is not None and read > until:
                    return
                if line.endswith(b"\n"):
                    yield note_of(line)


def note_of(line: bytes) -> str | None:
    """The note of a line; None if `append` did not write the line."""
    try:
        note = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    whole = isinstance(note, str) and orjson.dumps(note) == line.removesuffix(b"\n")
    return note if whole else None


def _whole_lines(file: BinaryIO) -> int:
    """The length of the file up to and with its last newline."""
    start, tail = _read_tail(file)
    end = tail.rfind(b"\n") + 1
    return start + end


def _last_line(file: BinaryIO) -> bytes | None:
    _, tail = _read_tail(file)
    lines = tail[: tail.rfind(b"\n") + 1].splitlines()
    return lines[-1] if lines else None


def _read_tail(file: BinaryIO) -> tuple[int, bytes]:
    size = file.seek(0, os.SEEK_END)
    start = max(0, size - _TAIL)
    file.seek(start)
    return start, file.read()
