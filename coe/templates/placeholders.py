"""Fill placeholders: `$(path)` in scalars, `$if` and `$for` around parts. Nothing is evaluated.

The file with placeholders stays plain YAML, and `$( )` is no jq and no `${ }`:

- A scalar that is one placeholder becomes the value with its type, such as
  `approvals: $(params.approvals)`.
- A placeholder in a longer text is replaced by the value's text: `Above $(params.creditLimit)`.
- In a runtime expression `${ … }` it becomes a JSON literal, so that a value cannot change the
  program: `${ .total > ($(params.creditLimit) | tonumber) }`.
- `$$(` is written as `$(`.
- `{$if: CONDITION, $then: A, $else: B}` becomes A or B. In a list, the items of a list A or B are
  inserted, and a missing branch adds nothing; in a mapping, a missing branch removes the key.
  A condition is a path, `not` and a path, or a path with `==` or `!=` and a JSON literal.
- `{$for: PATH, $each: NAME, $do: A}` becomes a list: A for each item of the list at the path. In A,
  `$(NAME)` is the item (`item` without `$each`) and `$(index)` its position from 0. In a list, the
  items are inserted, and those of a list A one by one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import orjson

from coe.errors import Problem
from coe.json_types import JSON, read_json
from coe.language.expression_syntax import is_expression

_PATH = r"[A-Za-z]\w*(?:\.[A-Za-z]\w*)*"
_PLACEHOLDER = re.compile(rf"\$\$\(|\$\(\s*(?P<path>{_PATH})\s*\)|\$\((?P<broken>[^)]*)\)?")
_WHOLE = re.compile(rf"\$\(\s*(?P<path>{_PATH})\s*\)")
_CONDITION = re.compile(
    rf"(?P<negated>not\s+)?(?P<path>{_PATH})(?:\s*(?P<operator>==|!=)\s*(?P<literal>.+))?",
)
_IF, _THEN, _ELSE = "$if", "$then", "$else"
_FOR, _EACH, _DO = "$for", "$each", "$do"
_INDEX = "index"
_NAME = re.compile(r"[A-Za-z]\w*")
MAX_REPETITIONS = 10_000
"""How often the parts of all `$for` of a document are repeated, at most."""
_HELP = "write $(params.name), or $$( for the two characters themselves"


class _Missing:
    """The result of a condition whose branch is missing."""


_MISSING = _Missing()
_Filled = JSON | _Missing


@dataclass(slots=True)
class Filling:
    """Fills one document, and collects its problems.

    `values` has at its first level the names with which a path may start.
    """

    values: Mapping[str, JSON]
    problems: list[Problem] = field(default_factory=list)
    repetitions: int = 0

    def fill(self, document: JSON) -> JSON:
        """Replace every placeholder of a document; an invalid one stays as it is."""
        filled = self._fill(document, "")
        return None if isinstance(filled, _Missing) else filled

    def _fill(self, node: JSON, pointer: str) -> _Filled:
        match node:
            case str():
                return self._text(node, pointer)
            case list():
                return self._list(node, pointer)
            case dict() if _IF in node:
                return self._branch(node, pointer)
            case dict() if _FOR in node:
                return self._repeat(node, pointer)
            case dict():
                return self._mapping(node, pointer)
            case _:
                return node

    def _list(self, items: list[JSON], pointer: str) -> JSON:
        filled: list[JSON] = []
        for index, item in enumerate(items):
            value = self._fill(item, f"{pointer}/{index}")
            if isinstance(value, _Missing):
                continue
            inserts = isinstance(item, dict) and (_IF in item or _FOR in item)
            if inserts and isinstance(value, list):
                filled.extend(value)
            else:
                filled.append(value)
        return filled

    def _mapping(self, mapping: dict[str, JSON], pointer: str) -> JSON:
        filled: dict[str, JSON] = {}
        for key, value in mapping.items():
            place = f"{pointer}/{escape(key)}"
            name = self._text(key, place)
            each = self._fill(value, place)
            if not isinstance(each, _Missing):
                filled[name if isinstance(name, str) else key] = each
        return filled

    def _branch(self, mapping: dict[str, JSON], pointer: str) -> _Filled:
        self._check_keys(mapping, (_IF, _THEN, _ELSE), pointer)
        branch = _THEN if self._holds(mapping[_IF], f"{pointer}/{_IF}") else _ELSE
        if branch not in mapping:
            return _MISSING
        return self._fill(mapping[branch], f"{pointer}/{branch}")

    def _repeat(self, mapping: dict[str, JSON], pointer: str) -> JSON:
        self._check_keys(mapping, (_FOR, _EACH, _DO), pointer)
        path, name = mapping[_FOR], mapping.get(_EACH, "item")
        if not isinstance(path, str) or not re.fullmatch(_PATH, path.strip()):
            self._refuse(f"{path!r} is not a path", f"{pointer}/{_FOR}", "write params.name")
            return []
        if not isinstance(name, str) or not _NAME.fullmatch(name) or name == _INDEX:
            self._refuse(f"{name!r} is not a name", f"{pointer}/{_EACH}", "such as item")
            return []
        if name in self.values:
            self._refuse(f"{name!r} is already something else here", f"{pointer}/{_EACH}")
            return []
        if _DO not in mapping:
            self._refuse("$for needs $do", pointer, "write what to repeat under $do")
            return []
        found = len(self.problems)
        items = self._value(path.strip(), f"{pointer}/{_FOR}")
        if not isinstance(items, list):
            if len(self.problems) == found:
                self._refuse(f"{path.strip()} is not a list", f"{pointer}/{_FOR}")
            return []
        return self._repeated(items, name, mapping[_DO], f"{pointer}/{_DO}")

    def _repeated(self, items: list[JSON], name: str, part: JSON, pointer: str) -> JSON:
        outer, filled = self.values, list[JSON]()
        for index, item in enumerate(items):
            self.repetitions += 1
            if self.repetitions > MAX_REPETITIONS:
                if self.repetitions == MAX_REPETITIONS + 1:
                    self._refuse(f"more than {MAX_REPETITIONS} repetitions", pointer)
                break
            self.values = {**outer, name: item, _INDEX: index}
            value = self._fill(part, pointer)
            if isinstance(value, list):
                filled.extend(value)
            elif not isinstance(value, _Missing):
                filled.append(value)
        self.values = outer
        return filled

    def _check_keys(self, mapping: dict[str, JSON], known: tuple[str, ...], pointer: str) -> None:
        for key in sorted(mapping.keys() - set(known)):
            message = f"{key!r} is not allowed beside {known[0]}"
            self._refuse(message, pointer, f"use {known[1]} and {known[2]} alone")

    def _holds(self, condition: JSON, pointer: str) -> bool:
        match = _CONDITION.fullmatch(condition.strip()) if isinstance(condition, str) else None
        if match is None or (match["negated"] and match["operator"]):
            self._refuse(
                f"{condition!r} is not a condition",
                pointer,
                "write params.name, not params.name, params.name == JSON or params.name != JSON",
            )
            return False
        value = self._value(match["path"], pointer)
        if match["operator"] is None:
            return bool(value) is not bool(match["negated"])
        try:
            literal = read_json(match["literal"].encode())
        except ValueError:
            self._refuse(
                f"{match['literal']!r} is not a JSON literal", pointer, 'such as "DHL" or 2'
            )
            return False
        return (value == literal) is (match["operator"] == "==")

    def _text(self, text: str, pointer: str) -> JSON:
        whole = _WHOLE.fullmatch(text)
        if whole:
            value = self._value(whole["path"], pointer)
            self._refuse_expression(value, pointer)
            return value
        if "$(" not in text:
            return text
        program = is_expression(text)
        written = _PLACEHOLDER.sub(lambda each: self._write(each, pointer, program=program), text)
        if not program and is_expression(written):
            self._refuse("the values make an expression of this text", pointer, _HELP)
        return written

    def _write(self, match: re.Match[str], pointer: str, *, program: bool) -> str:
        if match["path"] is None:
            if match["broken"] is None:
                return "$("
            self._refuse(f"{match[0]!r} is not a placeholder", pointer, _HELP)
            return match[0]
        value = self._value(match["path"], pointer)
        if program or not isinstance(value, str):
            return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
        return value

    def _value(self, path: str, pointer: str) -> JSON:
        value: JSON = dict(self.values)
        for name in path.split("."):
            if not isinstance(value, dict) or name not in value:
                known = sorted(value) if isinstance(value, dict) else []
                self._refuse(
                    f"there is no {path!r} to put here",
                    pointer,
                    f"known here: {', '.join(known)}" if known else None,
                )
                return None
            value = value[name]
        return value

    def _refuse_expression(self, value: JSON, pointer: str) -> None:
        if any(is_expression(text) for text in _texts(value)):
            self._refuse("a value must not be an expression", pointer, "leave out ${ }")

    def _refuse(self, message: str, pointer: str, help_: str | None = None) -> None:
        self.problems.append(Problem("INPUT_PLACEHOLDER", message, path=pointer, help=help_))


def paths_in(document: JSON) -> frozenset[str]:
    """Every path that a document's placeholders and conditions name."""
    found: set[str] = set()
    for text in _texts(document):
        found |= {match["path"] for match in _PLACEHOLDER.finditer(text) if match["path"]}
    for condition in _values_of(document, _IF):
        match = _CONDITION.fullmatch(condition.strip())
        if match:
            found.add(match["path"])
    found |= {path.strip() for path in _values_of(document, _FOR)}
    return frozenset(found)


def escape(token: str) -> str:
    """One token of a JSON pointer (RFC 6901)."""
    return token.replace("~", "~0").replace("/", "~1")


def _texts(node: JSON) -> Iterator[str]:
    match node:
        case str():
            yield node
        case list():
            for item in node:
                yield from _texts(item)
        case dict():
            for key, value in node.items():
                yield key
                yield from _texts(value)


def _values_of(node: JSON, key: str) -> Iterator[str]:
    """The texts under a key, wherever it stands."""
    match node:
        case list():
            for item in node:
                yield from _values_of(item, key)
        case dict():
            value = node.get(key)
            if isinstance(value, str):
                yield value
            for inner in node.values():
                yield from _values_of(inner, key)
