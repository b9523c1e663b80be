"""Free ports of loopback that no other test process takes meanwhile."""

from __future__ import annotations

import fcntl
import itertools
import socket
import tempfile
from pathlib import Path
from typing import IO

# Below the range from which Linux takes the ports of outgoing connections (32768 and up).
_PORTS = itertools.cycle(range(12_000, 30_000))
_FOLDER = Path(tempfile.gettempdir()) / "coe-test-ports"
_held: list[IO[bytes]] = []


def free_port() -> int:
    """A port that nobody listens on, reserved for this process until it ends.

    A server that a test starts binds its port seconds after the port was chosen. A lock on a file
    keeps other test processes from choosing the same one meanwhile.

    Raises:
        RuntimeError: Every port of the range is taken.
    """
    _FOLDER.mkdir(exist_ok=True)
    for _ in range(1_000):
        port = next(_PORTS)
        if _reserve(port) and _can_bind(port):
            return port
    raise RuntimeError("no free port for a test")


def _reserve(port: int) -> bool:
    lock = (_FOLDER / str(port)).open("wb")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        return False
    _held.append(lock)
    return True


def _can_bind(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
