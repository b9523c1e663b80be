"""Ports on loopback, reserved until the process that chose them ends."""

from __future__ import annotations

import fcntl
import os
import socket
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO

_locks: list[IO[bytes]] = []
"""Open for as long as this process lives: the kernel drops the locks of a process that ends."""


def reserve_port(candidates: Iterable[int]) -> int:
    """The first of the candidates that nobody listens on and nobody has reserved.

    A server binds its port some seconds after the port was chosen. A lock on a file of the
    temporary folder keeps other processes of this user from choosing the same one meanwhile.

    Raises:
        OSError: None of the candidates is free.
    """
    folder = Path(tempfile.gettempdir()) / f"coe-ports-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    for port in candidates:
        if _lock(folder / str(port)) and _is_free(port):
            return port
    raise OSError("no free port among the candidates")


def _lock(file: Path) -> bool:
    lock = file.open("wb")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        return False
    _locks.append(lock)
    return True


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
