"""The highest checkpoint that was ever signed, in a file beside the checkpoint file.

It is written before the database commits the checkpoint, with the ids of the events that it adds.
A sealer that finds it ahead of the database seals exactly these events and stores this note, so two
checkpoints of one size are never signed, whatever happened to the database meanwhile.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import orjson

from coe.errors import CoeError
from coe.formats import uuids
from coe.secret_files import create_secret, read_secret, replace_secret

SUFFIX: Final = ".signed"


class SignedFileDamaged(CoeError):
    """The file of the highest signed checkpoint is damaged: restore it, or verify the log."""


@dataclass(frozen=True, slots=True)
class Signed:
    """A signed note, and the ids of the events that it adds to the one before, in order."""

    note: str
    events: tuple[UUID, ...] = ()


class SignedFile:
    """The file beside a checkpoint file. Its methods block."""

    def __init__(self, checkpoint_file: Path) -> None:
        self.path = checkpoint_file.with_name(checkpoint_file.name + SUFFIX)

    def read(self) -> Signed | None:
        """What was signed last; None if there is no file.

        Raises:
            SignedFileDamaged: It is not as `write` made it.
            SecretFileRefused: Others can read it.
        """
        try:
            content: Any = orjson.loads(read_secret(self.path))
            return Signed(str(content["note"]), tuple(map(uuids.read, content["events"])))
        except FileNotFoundError:
            return None
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError):
            raise SignedFileDamaged(f"{self.path} is damaged") from None

    def write(self, note: str, events: Sequence[UUID]) -> None:
        """Replace the content; return when it is on disk."""
        content = orjson.dumps({"note": note, "events": [str(each) for each in events]})
        if not self.path.exists() and create_secret(self.path, content):
            return
        replace_secret(self.path, content)

    @contextmanager
    def locked(self) -> Iterator[bool]:
        """Hold the lock of the file, which one process at a time has; False if another has it."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = self.path.with_name(self.path.name + ".lock")
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True
        finally:
            os.close(descriptor)
