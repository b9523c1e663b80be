"""Logs to stderr, a JSON object a line, without data: of an exception its types and places only."""

from __future__ import annotations

import logging
import sys
import traceback
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final

import orjson

_OWN: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}
_QUIET: Final = ("asyncio", "casbin", "httpcore", "httpx")
LONGEST_CHAIN: Final = 5


def configure(level: str) -> None:
    """Send every logger's records of at least `level` to stderr in our form.

    Raises:
        ValueError: There is no such level.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    ours = [each for each in root.handlers if isinstance(each.formatter, JsonLines)]
    for each in ours:
        root.removeHandler(each)
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


class JsonLines(logging.Formatter):
    """One JSON object a record: at, level, logger, message, what `extra` gave, and the exception.

    The message of an exception is left out, for it may quote what was being worked on.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": _message(record),
        }
        line |= {name: value for name, value in vars(record).items() if name not in _OWN}
        if record.exc_info and record.exc_info[1] is not None:
            line |= describe(record.exc_info[1], record.exc_info[2])
        return orjson.dumps(line, default=str).decode()


def _message(record: logging.LogRecord) -> str:
    """What the logger said; asyncio's further lines quote tasks, and exceptions in them."""
    message = record.getMessage()
    return message.partition("\n")[0] if record.name == "asyncio" else message


def describe(error: BaseException, trace: TracebackType | None = None) -> dict[str, list[str]]:
    """The types of an exception and of what caused it, and where it came from; no message."""
    types: list[str] = []
    current: BaseException | None = error
    while current is not None and len(types) < LONGEST_CHAIN:
        types.append(f"{type(current).__module__}.{type(current).__qualname__}")
        current = current.__cause__ or current.__context__
    frames = traceback.extract_tb(trace or error.__traceback__)
    return {
        "types": types,
        "frames": [f"{frame.filename}:{frame.lineno} in {frame.name}" for frame in frames],
    }
