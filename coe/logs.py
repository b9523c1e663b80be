"""Logs on stderr, one JSON object a line; of exceptions only types and frames, never data."""

from __future__ import annotations

import logging
import sys
import traceback
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final

import orjson

from coe.formats import instants

_STANDARD_FIELDS: Final = frozenset(vars(logging.makeLogRecord({}))) | {
    "message",
    "asctime",
    "color_message",
}
_QUIET: Final = ("asyncio", "casbin", "httpcore", "httpx")
_MAX_CAUSES: Final = 5


def configure(level: str) -> None:
    """Write all log records of at least `level` to stderr as JSON lines.

    Raises:
        ValueError: `level` does not exist.
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
    """Format a record as one JSON object: at, level, logger, message, its `extra`, its exception.

    The message of an exception is left out: it may quote data.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Format one record."""
        line: dict[str, Any] = {
            "at": instants.write_microseconds(datetime.fromtimestamp(record.created, UTC)),
            "level": record.levelname,
            "logger": record.name,
            "message": _message(record),
        }
        line |= {
            name: value for name, value in vars(record).items() if name not in _STANDARD_FIELDS
        }
        if record.exc_info and record.exc_info[1] is not None:
            line |= describe(record.exc_info[1], record.exc_info[2])
        return orjson.dumps(line, default=str).decode()


def _message(record: logging.LogRecord) -> str:
    """The message; of asyncio's only the first line: the others quote tasks and exceptions."""
    message = record.getMessage()
    return message.partition("\n")[0] if record.name == "asyncio" else message


def describe(error: BaseException, trace: TracebackType | None = None) -> dict[str, list[str]]:
    """The types of an exception and its causes, and its stack frames; no messages."""
    types: list[str] = []
    current: BaseException | None = error
    while current is not None and len(types) < _MAX_CAUSES:
        types.append(f"{type(current).__module__}.{type(current).__qualname__}")
        current = current.__cause__ or current.__context__
    frames = traceback.extract_tb(trace or error.__traceback__)
    return {
        "types": types,
        "frames": [f"{frame.filename}:{frame.lineno} in {frame.name}" for frame in frames],
    }
