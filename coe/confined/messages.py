"""The messages between the platform and a process that computes: pickled, with their length before.

The process reads what the platform wrote, which it trusts. The platform does not trust the
process, which has worked on a caller's text: it accepts data only, of classes of this project that
hold values.
"""

from __future__ import annotations

import dataclasses
import enum
import io
import pickle  # the reader below accepts data only
import socket
import struct
from typing import Any, Final

from pydantic import BaseModel

from coe.errors import CoeError

MAX_ANSWER: Final = 64 * 2**20
"""Bytes of an answer."""
HEADER: Final = struct.Struct("!dQ")
"""The seconds of a request, or those that were used, and the length of what follows."""
_OTHERS: Final = frozenset({("builtins", "frozenset"), ("builtins", "set"), ("decimal", "Decimal")})
_PACKAGES: Final = (
    "coe.access.",
    "coe.catalog.",
    "coe.confined.",
    "coe.decisions.",
    "coe.drawing.",
    "coe.runs.",
)
_PURE: Final = ("coe.errors", "coe.language.", "coe.templates.")
_VALUES: Final = (str, tuple, list, dict, CoeError, enum.Enum)


class NotData(Exception):
    """An answer is no data."""


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _OTHERS:
            return super().find_class(module, name)
        ours = module.startswith((*_PACKAGES, *_PURE))
        found = super().find_class(module, name) if ours else None
        if isinstance(found, type) and _holds_values(found):
            return found
        raise NotData(f"{module}.{name}")


def _holds_values(kind: type) -> bool:
    return dataclasses.is_dataclass(kind) or issubclass(kind, (*_VALUES, BaseModel))


def read_data(message: bytes) -> Any:
    """The data in an answer.

    Raises:
        NotData: It has something else.
    """
    try:
        return _Reader(io.BytesIO(message)).load()
    except Exception as error:  # noqa: BLE001  # whatever a reader of nonsense raises
        raise NotData(type(error).__name__) from None


def send(to: socket.socket, seconds: float, message: bytes) -> None:
    """Write one message."""
    to.sendall(HEADER.pack(seconds, len(message)) + message)


def receive(of: socket.socket, *, most: int | None = None) -> tuple[float, bytes]:
    """Read one message: its seconds and its bytes.

    Raises:
        EOFError: The other side has ended.
        NotData: It is longer than `most`.
        TimeoutError: The socket has a limit of time, and it is over.
    """
    seconds, length = HEADER.unpack(_exactly(of, HEADER.size))
    if most is not None and length > most:
        raise NotData("too long")
    return seconds, bytes(_exactly(of, length))


def _exactly(of: socket.socket, length: int) -> bytearray:
    found = bytearray(length)
    view, at = memoryview(found), 0
    while at < length:
        read = of.recv_into(view[at:])
        if not read:
            raise EOFError
        at += read
    return found
