"""The type of JSON values, how they are read exactly, and their text."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import orjson

if TYPE_CHECKING:
    from pydantic import JsonValue

    JSON: TypeAlias = JsonValue
    """A JSON value: null, a boolean, a number, a string, a list or an object."""
else:
    JSON = Any  # models do not validate free data: YAML and JSON contain nothing else


# Whole numbers beyond these are rounded where a run is stored, so they are refused at the doors.
_MIN: Final = -(2**63)
_MAX: Final = 2**64 - 1
# A string, or a whole number of 19 digits or more; strings are skipped.
_LONG_NUMBER: Final = re.compile(
    rb'"[^"\\]*(?:\\.[^"\\]*)*"|(?<![0-9.eE+-])-?[0-9]{19,}(?![0-9.eE])', re.DOTALL
)


class InexactNumber(ValueError):
    """A whole number has more than 64 bits and would be rounded: send it as text."""

    def __init__(self) -> None:
        super().__init__("A whole number has more than 64 bits and would be rounded: send a text.")


def read_json(content: bytes) -> JSON:
    """Read JSON text.

    Raises:
        InexactNumber: A whole number has more than 64 bits.
        ValueError: The text is not JSON.
    """
    value: JSON = orjson.loads(content)
    for found in _LONG_NUMBER.finditer(content):
        if not found[0].startswith(b'"'):
            _check_digits(found[0])
    return value


def check_numbers(value: JSON) -> None:
    """Refuse what `read_json` refuses, in a value that was read from another text.

    Raises:
        InexactNumber: A whole number has more than 64 bits.
    """
    waiting = [value]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)
        elif isinstance(part, int) and not _MIN <= part <= _MAX:
            raise InexactNumber


def _check_digits(digits: bytes) -> None:
    if len(digits) > len(str(_MIN)) or not _MIN <= int(digits) <= _MAX:
        raise InexactNumber


def value_text(value: JSON) -> str:
    """The text of a value in a URI, a header, a query or a form: text unchanged, else its JSON.

    One number has one text wherever it stands.
    """
    if isinstance(value, str):
        return value
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # a whole number of more than 64 bits
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
