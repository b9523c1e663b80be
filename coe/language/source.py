"""A document of YAML 1.2 or JSON as plain data, with the position of each value in the text.

The one place that turns a JSON pointer into a line and a column.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from coe.errors import Problem, Severity
from coe.json_types import JSON
from coe.language.yaml_reader import MAX_BYTES, EntryMarks, Mark, Unreadable, read_yaml

__all__ = ["MAX_BYTES", "Mark", "Source", "Unreadable", "point", "read", "tokens"]


@dataclass(frozen=True, slots=True)
class Source:
    """A document: its data, its text, and the position of each value."""

    data: JSON
    text: str = ""
    file: str | None = None
    # The entries of each object and array, by the `id` of the container, which `data` keeps alive.
    marks: Mapping[int, Mapping[str | int, EntryMarks]] = field(default_factory=dict, repr=False)

    def __getstate__(self) -> tuple[Any, ...]:
        """Its parts, the marks beside the containers that they are of: an `id` ends with it."""
        waiting, marked = [self.data], []
        seen: set[int] = set()
        while waiting:
            part = waiting.pop()
            entries = self.marks.get(id(part))
            if entries is not None and id(part) not in seen:
                seen.add(id(part))
                marked.append((part, entries))
            if isinstance(part, dict):
                waiting.extend(part.values())
            elif isinstance(part, list):
                waiting.extend(part)
        return self.data, self.text, self.file, marked

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """Set the parts."""
        data, text, file, marked = state
        marks = {id(container): entries for container, entries in marked}
        for name, value in (("data", data), ("text", text), ("file", file), ("marks", marks)):
            object.__setattr__(self, name, value)

    def problem(
        self,
        code: str,
        message: str,
        pointer: str,
        *,
        severity: Severity = Severity.ERROR,
        value: bool = False,
        help: str | None = None,
    ) -> Problem:
        """A problem located at a pointer's key, or with `value` at its value."""
        line, column = self.locate(pointer, value=value) or (None, None)
        return Problem(code, message, severity, pointer, line, column, help)

    def located(self, problem: Problem) -> Problem:
        """The problem with the line and column of its `path`."""
        line, column = self.locate(problem.path or "") or (None, None)
        return replace(problem, line=line, column=column)

    def line(self, pointer: str) -> int | None:
        """The line of a JSON pointer's key, from 1; None for a document without text."""
        mark = self.locate(pointer)
        return mark.line if mark else None

    def unstorable(self) -> Iterator[Problem]:
        """Problems of texts that cannot be stored: those with the character NUL.

        For documents that are kept and searched; the data of runs may have them, as it is sealed.
        """
        waiting: list[tuple[str, JSON]] = [("", self.data)]
        while waiting:
            pointer, part = waiting.pop()
            if isinstance(part, dict):
                waiting += ((pointer + point(key), item) for key, item in part.items())
            elif isinstance(part, list):
                waiting += ((pointer + point(index), item) for index, item in enumerate(part))
            elif isinstance(part, str) and "\x00" in part:
                message = "the character NUL cannot be stored"
                yield self.problem("OWS006", message, pointer, value=True)

    def locate(self, pointer: str, *, value: bool = False) -> Mark | None:
        """The position of a JSON pointer's key (RFC 6901), or with `value` of its value.

        A pointer to nothing has the position of the nearest parent that exists.
        """
        node: Any = self.data
        found: EntryMarks | None = None
        for token in tokens(pointer):
            entries = self.marks.get(id(node), {})
            key = int(token) if isinstance(node, list) and token.isdecimal() else token
            if key not in entries:
                break
            found = entries[key]
            node = node[key]
        if found is None:
            return Mark(1, 1) if self.text else None
        return found.value if value else found.key


def tokens(pointer: str) -> list[str]:
    """The reference tokens of a JSON pointer, unescaped."""
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]


def point(*parts: str | int) -> str:
    """A JSON pointer of these reference tokens."""
    return "".join([f"/{part}" if isinstance(part, int) else _token(part) for part in parts])


def _token(part: str) -> str:
    if "/" in part or "~" in part:
        part = part.replace("~", "~0").replace("/", "~1")
    return "/" + part


def read(text: str, *, file: str | None = None) -> Source:
    """Read one YAML 1.2 or JSON document.

    Raises:
        Unreadable: As `coe.language.yaml_reader.read_yaml`.
    """
    data, marks = read_yaml(text)
    return Source(data, text, file, marks)
