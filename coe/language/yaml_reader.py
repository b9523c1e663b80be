"""Read the text of YAML 1.2 or JSON, without recursion, with the position of each value."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import orjson
import yaml
from yaml.cyaml import CParser  # type: ignore[attr-defined]

from coe.errors import Problem
from coe.json_types import JSON, InexactNumber, read_whole_number

# The limit of a document's text in bytes, and of the characters to which its aliases expand.
MAX_BYTES: Final = 1_000_000
# The longest text that the pure Python parser may read: it needs 15 s for a megabyte.
MAX_SLOW_CHARACTERS: Final = 100_000
# The deepest nesting. The YAML scanner's time grows with the square of the depth.
MAX_DOCUMENT_DEPTH: Final = 100

_STR: Final = "tag:yaml.org,2002:str"
# The core schema of YAML 1.2 (section 10.3.2): what a plain scalar means.
_CONSTANTS: Final[dict[str, JSON]] = (
    dict.fromkeys(("", "~", "null", "Null", "NULL"))
    | dict.fromkeys(("true", "True", "TRUE"), True)
    | dict.fromkeys(("false", "False", "FALSE"), False)
)
_INTEGER: Final = re.compile(r"[-+]?[0-9]+", re.ASCII)
_BASED: Final = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+", re.ASCII)
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_DEEP: Final = f"nested more than {MAX_DOCUMENT_DEPTH} levels deep"
_HALF: Final = "half of a surrogate pair is not a character"
_INEXACT: Final = "a whole number of more than 64 bits would be rounded: quote it"
_NUL: Final = "a key must not contain the character NUL"
_REPEATED: Final = "the key `{}` occurs twice in one object"
_UNPRINTABLE: Final = re.compile(
    "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
)
_NOT_JSON: Final = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


class Mark(NamedTuple):
    """A position in the text, counted from 1."""

    line: int
    column: int


class EntryMarks(NamedTuple):
    """The positions of an entry's key and value; in an array both are those of the value."""

    key: Mark
    value: Mark


class Unreadable(Exception):
    """The text is not a document that can be read."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


Marks = dict[int, dict[str | int, EntryMarks]]
"""The entries of each object and array, by the `id` of the container."""


def read_yaml(text: str) -> tuple[JSON, Marks]:
    """The data of one YAML 1.2 or JSON document, and its marks.

    Raises:
        Unreadable: The text is too large or not YAML, or has duplicate keys, several documents,
            or aliases that expand beyond the limit.
    """
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        raise _unreadable("OWS001", _HALF, _mark_at(text, error.start)) from None
    if size > MAX_BYTES:
        raise _unreadable("OWS002", f"the document has more than {MAX_BYTES:,} bytes", Mark(1, 1))
    try:
        return _read(_libyaml_events(text))
    except yaml.YAMLError as error:
        # libyaml does not know all of YAML 1.2: the slower parser decides on what it refuses.
        return _read_slowly(text, error)


def _mark_at(text: str, place: int) -> Mark:
    before = text[:place]
    return Mark(before.count("\n") + 1, place - before.rfind("\n"))


def _read(events: Iterable[Any]) -> tuple[JSON, Marks]:
    reader = _Reader()
    data = reader.read(events)
    return data, reader.marks


def _read_slowly(text: str, refusal: yaml.YAMLError) -> tuple[JSON, Marks]:
    from ruamel.yaml import YAML  # noqa: PLC0415 - seldom needed, and slow to import
    from ruamel.yaml.error import YAMLError  # noqa: PLC0415

    if text.lstrip().startswith("{") and (decoded := _json(text)) is not None:
        return decoded, {}
    if len(text) > MAX_SLOW_CHARACTERS:
        raise Unreadable(_syntax_problem(refusal, text))
    try:
        return _read(YAML(typ="safe", pure=True).parse(text))
    except YAMLError as error:
        raise Unreadable(_syntax_problem(error, text)) from None
    except (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError):
        # The slower parser fails on some texts that are not YAML, such as `%YAML 1.3`.
        raise Unreadable(_syntax_problem(refusal, text)) from None


def _libyaml_events(text: str) -> Iterator[Any]:
    parser = CParser(text)
    try:
        while (event := parser.get_event()) is not None:
            yield event
    finally:
        parser.dispose()


def _json(text: str) -> JSON:
    """JSON that YAML's scanner refuses, such as surrogate pairs; None if it is not JSON either."""
    try:
        orjson.loads(text)  # refuses halves of surrogate pairs
        data: JSON = json.loads(text, object_pairs_hook=_object, parse_int=read_whole_number)
    except InexactNumber:
        raise Unreadable(Problem("OWS006", _INEXACT)) from None
    except (ValueError, RecursionError):
        return None
    _check_depth(data)
    return data


def _object(pairs: list[tuple[str, JSON]]) -> dict[str, JSON]:
    data = dict(pairs)
    if len(data) != len(pairs):
        repeated = next(key for i, (key, _) in enumerate(pairs) if key in dict(pairs[:i]))
        raise Unreadable(Problem("OWS003", _REPEATED.format(repeated)))
    if any("\x00" in key for key in data):
        raise Unreadable(Problem("OWS006", _NUL))
    return data


def _check_depth(data: JSON) -> None:
    level = [data]
    for _ in range(MAX_DOCUMENT_DEPTH + 1):
        inner = [
            part.values() if isinstance(part, dict) else part
            for part in level
            if isinstance(part, dict | list)
        ]
        level = [value for values in inner for value in values]
        if not level:
            return
    raise Unreadable(Problem("OWS002", _DEEP))


def _syntax_problem(error: Exception, text: str) -> Problem:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    what = getattr(error, "problem", None) or str(error).split("\n", 1)[0]
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    unprintable = None if mark else _UNPRINTABLE.search(text)
    if unprintable is not None:  # the parsers name the character, and not where it is
        line, column = _mark_at(text, unprintable.start())
        what = f"the character U+{ord(unprintable[0]):04X} is not allowed"
    return Problem("OWS001", f"not YAML: {what}", line=line, column=column)


@dataclass(slots=True)
class _Frame:
    """A container whose end was not read yet."""

    value: dict[str, Any] | list[Any]
    entries: dict[str | int, EntryMarks]
    anchor: str | None
    size: int = 1
    key: tuple[str, Mark] | None = None


class _Reader:
    """Builds data from the parser's events without recursion."""

    def __init__(self) -> None:
        self.marks: Marks = {}
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._stack: list[_Frame] = []
        self._documents = 0

    def read(self, events: Iterable[Any]) -> JSON:
        """The data of the one document in a parser's events."""
        root: list[JSON] = []
        for event in events:
            mark = Mark(event.start_mark.line + 1, event.start_mark.column + 1)
            match type(event).__name__:
                case "ScalarEvent":
                    value = self._scalar(event, mark)
                    self._add(value, len(event.value) + 1, event.anchor, mark, root)
                case "MappingStartEvent":
                    self._open({}, event, mark)
                case "SequenceStartEvent":
                    self._open([], event, mark)
                case "MappingEndEvent" | "SequenceEndEvent":
                    self._close(root)
                case "AliasEvent":
                    self._alias(event.anchor, mark, root)
                case "DocumentStartEvent":
                    self._start_document(mark)
        if not root:
            raise _unreadable("OWS005", "the document is empty", Mark(1, 1))
        return root[0]

    def _start_document(self, mark: Mark) -> None:
        self._documents += 1
        if self._documents > 1:
            raise _unreadable("OWS005", "a second document: give one document a file", mark)

    def _open(self, value: dict[str, Any] | list[Any], event: Any, mark: Mark) -> None:
        if event.tag not in (None, "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"):
            raise _unreadable("OWS006", f"the tag `{event.tag}` has no meaning here", mark)
        if len(self._stack) == MAX_DOCUMENT_DEPTH:
            raise _unreadable("OWS002", _DEEP, mark)
        if self._stack and isinstance(self._stack[-1].value, dict) and self._stack[-1].key is None:
            raise _unreadable("OWS006", "a key must be text", mark)
        entries = self.marks[id(value)] = {}
        frame = _Frame(value, entries, event.anchor)
        frame.entries[""] = EntryMarks(mark, mark)
        self._stack.append(frame)

    def _close(self, root: list[JSON]) -> None:
        frame = self._stack.pop()
        start = frame.entries.pop("")
        self._add(frame.value, frame.size, frame.anchor, start.value, root)

    def _alias(self, anchor: str, mark: Mark, root: list[JSON]) -> None:
        if anchor not in self._anchors:
            raise _unreadable("OWS001", f"the alias `*{anchor}` has no anchor before it", mark)
        value, size = self._anchors[anchor]
        self._add(value, size, None, mark, root)

    def _add(self, value: Any, size: int, anchor: str | None, mark: Mark, root: list[JSON]) -> None:
        if size > MAX_BYTES:
            message = f"aliases expand to more than {MAX_BYTES:,} characters"
            raise _unreadable("OWS004", message, mark)
        if anchor is not None:
            self._anchors[anchor] = (value, size)
        if not self._stack:
            root.append(value)
            return
        frame = self._stack[-1]
        frame.size += size
        if isinstance(frame.value, list):
            frame.entries[len(frame.value)] = EntryMarks(mark, mark)
            frame.value.append(value)
        elif frame.key is None:
            frame.key = (self._key(frame, value, mark), mark)
        else:
            key, key_mark = frame.key
            frame.entries[key] = EntryMarks(key_mark, mark)
            frame.value[key] = value
            frame.key = None

    @staticmethod
    def _key(frame: _Frame, key: Any, mark: Mark) -> str:
        if not isinstance(key, str):
            raise _unreadable("OWS006", f"the key `{json.dumps(key)}` is not text: quote it", mark)
        if key in frame.value:
            raise _unreadable("OWS003", _REPEATED.format(key), mark)
        if "\x00" in key:
            raise _unreadable("OWS006", _NUL, mark)
        return key

    @staticmethod
    def _scalar(event: Any, mark: Mark) -> JSON:
        plain, _ = event.implicit
        if plain:
            return _resolve(event.value, mark)
        if event.tag in (None, "!", _STR):
            return _characters(event.value, mark)
        raise _unreadable("OWS006", f"the tag `{event.tag}` has no meaning here", mark)


def _characters(text: str, mark: Mark) -> str:
    """The text, with each escaped surrogate pair as the character that it stands for."""
    try:
        return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        raise _unreadable("OWS001", _HALF, mark) from None


def _resolve(text: str, mark: Mark) -> JSON:
    """The value of a plain scalar."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if not (text[0].isdigit() or text[0] in "+-."):
        return text
    if _INTEGER.fullmatch(text) or _BASED.fullmatch(text):
        return _integer(text, mark)
    if _NOT_JSON.fullmatch(text):
        raise _unreadable("OWS006", f"`{text}` is not a JSON value: quote it if it is text", mark)
    return _float(text, mark) if _FLOAT.fullmatch(text) else text


def _float(text: str, mark: Mark) -> float:
    number = float(text)
    if math.isinf(number):
        raise _unreadable("OWS006", f"`{text}` exceeds the range of JSON numbers", mark)
    return number


def _integer(text: str, mark: Mark) -> int:
    base = {"0o": 8, "0x": 16}.get(text[:2], 10)
    try:
        return read_whole_number(text, base)
    except InexactNumber:
        raise _unreadable("OWS006", _INEXACT, mark) from None


def _unreadable(code: str, message: str, mark: Mark) -> Unreadable:
    return Unreadable(Problem(code, message, line=mark.line, column=mark.column))
