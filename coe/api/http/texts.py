"""Texts of a request that cannot be kept as they were sent: those with the character NUL.

PostgreSQL stores it in no text and in no JSON. Every door reads its body with `requests.read_body`,
which asks here before the body has a meaning, so that no argument can be forgotten. Half of a
surrogate pair is refused by `coe.json_types.read_json`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from urllib.parse import parse_qsl

from graphql import DocumentNode, StringValueNode, Visitor, visit

from coe.errors import Invalid, Problem
from coe.json_types import NotJson, read_json
from coe.language.source import point

NUL: Final = "\x00"
MESSAGE: Final = "The text has the character NUL, which cannot be stored"
FORM: Final = "application/x-www-form-urlencoded"
_CODE: Final = "INPUT_TEXT"
_MAX_NAMED: Final = 100


def check_body(kind: str, content: bytes) -> None:
    r"""Refuse a body of JSON or of a form that has NUL in a text or in a name.

    Other content is data, which is sealed and may have any byte. JSON is read only where its text
    has an escape `\u0000`, which most has not.

    Raises:
        Invalid: With the place of each.
    """
    kind = kind.partition(";")[0].strip().lower()
    if kind == FORM and (b"%00" in content or b"\0" in content):
        fields = parse_qsl(content.decode("utf-8", "replace"), keep_blank_values=True)
        check_texts(dict(fields))
    elif "json" in kind and b"\\u0000" in content:
        try:
            value = read_json(content)
        except NotJson:
            return  # the door says what is wrong with it
        check_texts(value)


def check_texts(value: object) -> None:
    """Refuse a value with a text that has NUL.

    Raises:
        Invalid: With the JSON pointer of each.
    """
    problems = list(_problems(value))
    if problems:
        raise Invalid(problems[:_MAX_NAMED])


def check_literals(document: DocumentNode, query: str) -> None:
    """Refuse a document of GraphQL with a literal that has NUL.

    Raises:
        Invalid: With the line and the column of each.
    """
    if "\\u" not in query:
        return
    found = _Literals()
    visit(document, found)
    if found.problems:
        raise Invalid(found.problems[:_MAX_NAMED])


class _Literals(Visitor):
    """Collects the problems of the texts of a document."""

    def __init__(self) -> None:
        super().__init__()
        self.problems: list[Problem] = []

    def enter_string_value(self, node: StringValueNode, *_: object) -> None:
        """Look at one literal."""
        if NUL in node.value and node.loc is not None:
            start = node.loc.start_token
            problem = Problem(_CODE, MESSAGE, path="/query", line=start.line, column=start.column)
            self.problems.append(problem)


def _problems(value: object) -> Iterator[Problem]:
    waiting: list[tuple[str, object]] = [("", value)]
    while waiting:
        pointer, part = waiting.pop()
        if isinstance(part, str):
            if NUL in part:
                yield Problem(_CODE, MESSAGE, path=pointer)
        elif isinstance(part, dict):
            yield from (Problem(_CODE, MESSAGE, path=pointer) for name in part if NUL in name)
            waiting += [(pointer + point(name), each) for name, each in reversed(part.items())]
        elif isinstance(part, list):
            waiting += reversed([(pointer + point(at), each) for at, each in enumerate(part)])
