"""Files with a secret: mode 0600 from their creation, and either complete or absent.

A file that was given may also be that of another owner, for a group of this process to read: so
Kubernetes mounts the files of a Secret (mode 0440, owner root, the `fsGroup` of the pod).
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from uuid import uuid4

from coe.errors import CoeError

_NOBODY = stat.S_IRWXO | stat.S_IWGRP | stat.S_IXGRP
"""What neither others nor a group may do with a secret."""


class SecretFileRefused(CoeError):
    """A file with a secret is refused: it must be a regular file that nobody else can read."""

    code = "INVALID"


class KeyFileMissing(SecretFileRefused):
    """A file with keys of the installation is missing."""

    @classmethod
    def at(cls, path: Path) -> KeyFileMissing:
        """The error that names the file, and what mends it."""
        return cls(
            f"the key file {path} is missing: restore its backup, as no other key opens or proves"
            " what is there; for a new installation, `coe key new` makes it"
        )

    of_operator = True


def read_secret(path: Path) -> bytes:
    """The content of the file.

    Raises:
        FileNotFoundError: The file is missing.
        SecretFileRefused: It is not a regular file, or others can read or change it.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:  # noqa: PTH123  # the checked descriptor, not the name
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise SecretFileRefused(f"{path} is not a regular file")
        check_private(path, status)
        return file.read()


def check_private(path: Path, status: os.stat_result) -> None:
    """Refuse a file that others can read or change.

    Its owner may do both. A group may read it if this process is in it, and it was made for that:
    it has another owner, or nobody may write it.

    Raises:
        SecretFileRefused: The message has the mode, and what mends it.
    """
    mode = stat.S_IMODE(status.st_mode)
    own_group = status.st_gid in {os.getegid(), *os.getgroups()}
    made_for_group = status.st_uid != os.geteuid() or not mode & stat.S_IWUSR
    if mode & _NOBODY or (mode & stat.S_IRGRP and not (own_group and made_for_group)):
        message = (
            f"{path} has mode {mode:04o}, so others can read it: chmod 600 {path} (a Secret of"
            " Kubernetes: defaultMode 0440, and the fsGroup of the pod)"
        )
        raise SecretFileRefused(message)


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
