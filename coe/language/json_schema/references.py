"""Where the references of a schema lead (JSON Schema Core 2020-12, sections 8.2 and 9).

The validator resolves references itself; `effort` needs them to count what they make it do. So
where the validator may take one of several schemas, all of them are targets, and what cannot be
resolved here is not applied.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum, auto
from typing import Any, Final, NamedTuple, TypeAlias
from urllib.parse import unquote, urldefrag, urljoin

from coe.json_types import JSON
from coe.language.source import tokens

Targets: TypeAlias = dict[int, list[JSON]]
"""The schemas that an object of a schema refers to, by the identity of the object."""
REFERENCES: Final = ("$ref", "$dynamicRef")
_MAX_TARGETS: Final = 32
"""A reference that may lead to more schemas is not resolved."""
_DATA: Final = frozenset(("const", "default", "enum", "examples"))
_NAMED: Final = frozenset(("$defs", "dependentSchemas", "patternProperties", "properties"))
_SCHEMAS: Final = frozenset(
    (
        "additionalProperties",
        "allOf",
        "anyOf",
        "contains",
        "else",
        "if",
        "items",
        "not",
        "oneOf",
        "prefixItems",
        "propertyNames",
        "then",
        "unevaluatedItems",
        "unevaluatedProperties",
    )
)
_PORT: Final = re.compile(r"^([a-z][a-z0-9+.-]*://[^/?]*?):\d*(?=[/?]|$)")


class _Kind(Enum):
    SCHEMA = auto()
    # An object of schemas by names.
    NAMED = auto()
    # Below a keyword that is not known here: perhaps a schema, as in `definitions`.
    UNKNOWN = auto()


class _Object(NamedTuple):
    part: dict[str, Any]
    kind: _Kind
    # Its base URI; several where the validator may not see an `$id` above it.
    bases: tuple[str, ...]


class References:
    """The references of one schema, resolved inside it."""

    def __init__(self, document: JSON) -> None:
        """Resolve every reference; the document must be kept as long as the result."""
        self.targets: Targets = {}
        # A reference that leads out of the document, or to nothing in it that is a schema.
        self.unresolved: str | None = None
        # The dialect of a part that names one.
        self.dialects: list[JSON] = []
        self._data: set[int] = set()
        self._resources: dict[str, list[JSON]] = {"": [document]}
        self._anchors: dict[tuple[str, str], list[JSON]] = {}
        self._dynamic_anchors: dict[str, list[JSON]] = {}
        self._resolve(list(self._objects(document)))

    def _objects(self, document: JSON) -> Iterator[_Object]:
        """Every object of the document that may be a schema."""
        waiting: list[tuple[Any, _Kind, tuple[str, ...]]] = [(document, _Kind.SCHEMA, ("",))]
        while waiting:
            part, kind, bases = waiting.pop()
            if isinstance(part, list):
                waiting.extend((item, kind, bases) for item in part)
            elif isinstance(part, dict) and kind is _Kind.NAMED:
                waiting.extend((inner, _Kind.SCHEMA, bases) for inner in part.values())
            elif isinstance(part, dict):
                bases = self._identify(part, kind, bases)
                yield _Object(part, kind, bases)
                for key, inner in part.items():
                    if kind is _Kind.SCHEMA and key in _DATA:
                        self._mark_data(inner)
                    else:
                        waiting.append((inner, _kind_below(kind, key), bases))

    def _identify(
        self, part: dict[str, Any], kind: _Kind, bases: tuple[str, ...]
    ) -> tuple[str, ...]:
        """Register the names of a part, and return the base URIs of what is in it."""
        if isinstance(part.get("$schema"), str):
            self.dialects.append(part["$schema"])
        identifier = part.get("$id")
        if isinstance(identifier, str):
            new = tuple(urldefrag(_join(base, identifier)).url for base in bases)
            for base in new:
                self._resources.setdefault(_folded(base), []).append(part)
            bases = new if kind is _Kind.SCHEMA else tuple(dict.fromkeys((*new, *bases)))
            bases = bases[: _MAX_TARGETS + 1]
        for keyword in ("$anchor", "$dynamicAnchor"):
            anchor = part.get(keyword)
            if isinstance(anchor, str):
                for base in bases:
                    self._anchors.setdefault((_folded(base), anchor), []).append(part)
        if isinstance(part.get("$dynamicAnchor"), str):
            self._dynamic_anchors.setdefault(part["$dynamicAnchor"], []).append(part)
        return bases

    def _mark_data(self, data: JSON) -> None:
        waiting = [data]
        while waiting:
            part = waiting.pop()
            if isinstance(part, dict | list):
                self._data.add(id(part))
                waiting.extend(part.values() if isinstance(part, dict) else part)

    def _resolve(self, objects: list[_Object]) -> None:
        for part, kind, bases in objects:
            for keyword in REFERENCES:
                reference = part.get(keyword)
                if not isinstance(reference, str):
                    continue
                found = self._find(keyword, reference, bases)
                if found:
                    self.targets.setdefault(id(part), []).extend(found)
                elif kind is _Kind.SCHEMA:
                    self.unresolved = self.unresolved or reference

    def _find(self, keyword: str, reference: str, bases: tuple[str, ...]) -> list[JSON]:
        found: list[JSON] = []
        for base in bases:
            uri, _, fragment = _join(base, reference).partition("#")
            if fragment and not fragment.startswith("/"):
                found += self._anchors.get((_folded(uri), fragment), ())[: _MAX_TARGETS + 1]
                if found and keyword == "$dynamicRef":
                    found += self._dynamic_anchors.get(fragment, ())[: _MAX_TARGETS + 1]
            else:
                for resource in self._resources.get(_folded(uri), ())[: _MAX_TARGETS + 1]:
                    found += self._at(resource, tokens(unquote(fragment)))
            if len(found) > _MAX_TARGETS:
                return []
        return list({id(each): each for each in found}.values())

    def _at(self, document: JSON, path: list[str]) -> list[JSON]:
        part: Any = document
        for token in path:
            if isinstance(part, dict) and token in part:
                part = part[token]
            elif isinstance(part, list) and token.isdecimal() and int(token) < len(part):
                part = part[int(token)]
            else:
                return []
        return [] if id(part) in self._data else [part]


def _kind_below(kind: _Kind, keyword: str) -> _Kind:
    if kind is _Kind.SCHEMA and keyword in _SCHEMAS:
        return _Kind.SCHEMA
    return _Kind.NAMED if kind is _Kind.SCHEMA and keyword in _NAMED else _Kind.UNKNOWN


def _join(base: str, reference: str) -> str:
    if reference.startswith("#"):  # `urljoin` drops the base where it is a URN
        return base + reference
    try:
        return urljoin(base, reference)
    except ValueError:  # no URI: the validator refuses it
        return reference


def _folded(uri: str) -> str:
    """A text that is the same for URIs that are equivalent (RFC 3986, section 6.2), and others."""
    path: list[str] = []
    for segment in _PORT.sub(r"\1", unquote(uri).lower()).rstrip("?").split("/"):
        if segment == "..":
            del path[-1:]
        elif segment not in ("", "."):
            path.append(segment)
    return "/".join(path)
