"""Files with a secret: mode 0600 from their creation, and either complete or absent."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from uuid import uuid4

from coe.errors import CoeError


class SecretFileRefused(CoeError):
    """A key file is refused: it must be a regular file that only its owner can read."""


def read_secret(path: Path) -> bytes:
    """The content of the file.

    Raises:
        FileNotFoundError: The file is missing.
        SecretFileRefused: It is not a regular file, or its mode is looser than 0600.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:  # noqa: PTH123  # the checked descriptor, not the name
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise SecretFileRefused(f"{path} is not a regular file")
        mode = stat.S_IMODE(status.st_mode)
        if mode & 0o077:
            message = f"{path} has mode {mode:04o}, so others can read it: chmod 600 {path}"
            raise SecretFileRefused(message)
        return file.read()


def create_secret(path: Path, content: bytes) -> bool:
    """Create the file with the content if it is missing; return whether it was created.

    If several processes try at once, one succeeds; none ever reads an incomplete file.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = _write_draft(path, content)
    try:
        os.link(draft, path)
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    sync_folder(path.parent)
    return True


def replace_secret(path: Path, content: bytes) -> None:
    """Replace the content of the file atomically."""
    draft = _write_draft(path, content)
    try:
        draft.replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            draft.unlink()
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the folder's entries durable (fsync)."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_draft(path: Path, content: bytes) -> Path:
    draft = path.with_name(f".{path.name}.{uuid4().hex}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:  # noqa: PTH123  # the descriptor made with its mode
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    return draft
