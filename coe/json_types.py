"""The type of JSON values, how they are read exactly, and their text."""

from __future__ import annotations

import codecs
import json
import re
from decimal import Decimal
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
_LONG_DIGITS: Final = re.compile(rb"[0-9]{19}")
_DIGITS: Final = re.compile(r"-?[0-9]+(?![0-9.eE])")


class NotJson(ValueError):
    """A text is not JSON, or has what cannot be kept as it is; the message says what and where."""

    def __init__(self, reason: str, line: int | None = None, column: int | None = None) -> None:
        place = f" (line {line}, column {column})" if line else ""
        super().__init__(f"{reason}{place}")
        self.reason = reason


class InexactNumber(NotJson):
    """A whole number has more than 64 bits and would be rounded: write it as text."""

    def __init__(self, line: int | None = None, column: int | None = None) -> None:
        message = "A whole number has more than 64 bits and would be rounded: write it as text"
        super().__init__(message, line, column)


def read_json(content: bytes, *, computed: bool = False) -> JSON:
    """Read JSON text in UTF-8; a byte order mark before it is ignored (RFC 8259, section 8.1).

    A `computed` number of more than 64 bits is a number of binary floating point in any case; it
    is refused only if it has digits that such a number does not have.

    Raises:
        InexactNumber: A whole number has more than 64 bits.
        NotJson: The text is not JSON, or has half of a surrogate pair.
    """
    content = content.removeprefix(codecs.BOM_UTF8)
    try:
        value: JSON = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise _explained(error, content) from None
    if not _LONG_DIGITS.search(content):
        return value
    for found in _LONG_NUMBER.finditer(content):
        if not found[0].startswith(b'"') and not (computed and _is_float(found[0])):
            _read_located(found[0], content, found.start())
    return value


def refuse_repeated_keys(text: str) -> None:
    """Refuse JSON text with an object that has a key twice: which value is meant?

    Raises:
        NotJson: It has one, or is nested too deep to tell.
    """
    try:
        json.loads(text.removeprefix("\ufeff"), object_pairs_hook=_once)
    except RecursionError:
        raise NotJson("It is nested too deep") from None


def _once(pairs: list[tuple[str, object]]) -> None:
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            raise NotJson(f"The key {json.dumps(key)} stands twice in an object")
        seen.add(key)


def _explained(error: orjson.JSONDecodeError, content: bytes) -> NotJson:
    """What is wrong with a text, in our words where the parser's say too little."""
    if not content.strip():
        return NotJson("It is not JSON: it is empty")
    place = error.lineno, error.colno
    if "surrogate in string" in error.msg:
        return NotJson("Half of a surrogate pair is not a character", *place)
    if "depth limit" in error.msg:
        return NotJson("It is nested too deep", *place)
    if "UTF-8" in error.msg:
        return NotJson("It is not JSON: it is not UTF-8")
    if "infinity" in error.msg:
        digits = _DIGITS.match(error.doc, error.pos)
        return InexactNumber(*place) if digits else NotJson("A number is too large", *place)
    return NotJson(f"It is not JSON: {error.msg}", *place)


def _is_float(digits: bytes) -> bool:
    """Whether these are the digits of a number of binary floating point."""
    return Decimal(repr(float(digits))) == Decimal(digits.decode())


def _read_located(digits: bytes, content: bytes, start: int) -> None:
    try:
        read_whole_number(digits)
    except InexactNumber:
        before = content[:start].decode()
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        raise InexactNumber(line, column) from None


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
