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


# Whole numbers beyond these are rounded where a run is stored, so no text is read that has one.
_MIN: Final = -(2**63)
_MAX: Final = 2**64 - 1
# A string, or a whole number of 19 digits or more; strings are skipped.
_LONG_NUMBER: Final = re.compile(
    rb'"[^"\\]*(?:\\.[^"\\]*)*"|(?<![0-9.eE+-])-?[0-9]{19,}(?![0-9.eE])', re.DOTALL
)


class InexactNumber(ValueError):
    """A whole number has more than 64 bits and would be rounded: write it as text."""

    def __init__(self) -> None:
        super().__init__(
            "A whole number has more than 64 bits and would be rounded: write it as text."
        )


def read_json(content: bytes) -> JSON:
    """Read JSON text.

    Raises:
        InexactNumber: A whole number has more than 64 bits.
        ValueError: The text is not JSON.
    """
    value: JSON = orjson.loads(content)
    for found in _LONG_NUMBER.finditer(content):
        if not found[0].startswith(b'"'):
            read_whole_number(found[0])
    return value


def read_whole_number(digits: str | bytes, base: int = 10) -> int:
    """Read the digits of a whole number, for parsers of other texts than JSON.

    Raises:
        InexactNumber: It has more than 64 bits.
    """
    try:
        number = int(digits, base)
    except ValueError:  # Python refuses to convert more than 4,300 digits
        raise InexactNumber from None
    if not _MIN <= number <= _MAX:
        raise InexactNumber
    return number


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
