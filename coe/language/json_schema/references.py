"""Where the references of a schema lead (JSON Schema Core 2020-12, sections 8.2 and 9).

The validator resolves references itself; `effort` needs them to count what they make it do.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, TypeAlias
from urllib.parse import unquote, urldefrag, urljoin

from coe.json_types import JSON
from coe.language.source import tokens

Targets: TypeAlias = dict[int, list[JSON]]
"""The schemas that an object of a schema refers to, by the identity of the object."""
_REFERENCES: Final = ("$ref", "$dynamicRef")
_ANCHORS: Final = ("$anchor", "$dynamicAnchor")
_DATA: Final = frozenset(("const", "default", "enum", "examples"))


class References:
    """The references of one schema, resolved inside it."""

    def __init__(self, document: JSON) -> None:
        """Resolve every reference; the document must be kept as long as the result."""
        self.targets: Targets = {}
        # A reference that leads out of the document, or to nothing in it.
        self.unresolved: str | None = None
        self._resources: dict[str, JSON] = {"": document}
        self._anchors: dict[str, list[JSON]] = {}
        self._resolve(list(self._objects(document)))

    def _objects(self, document: JSON) -> Iterator[tuple[str, dict[str, Any]]]:
        """Every object of the document that may be a schema, with its base URI."""
        waiting: list[tuple[str, Any]] = [("", document)]
        while waiting:
            base, part = waiting.pop()
            if isinstance(part, dict):
                identifier = part.get("$id")
                if isinstance(identifier, str):
                    base = urldefrag(_join(base, identifier)).url
                    self._resources[base] = part
                for anchor in _ANCHORS:
                    if isinstance(part.get(anchor), str):
                        self._anchors.setdefault(f"{base}#{part[anchor]}", []).append(part)
                yield base, part
                waiting.extend((base, part[key]) for key in part if key not in _DATA)
            elif isinstance(part, list):
                waiting.extend((base, item) for item in part)

    def _resolve(self, objects: list[tuple[str, dict[str, Any]]]) -> None:
        for base, part in objects:
            for keyword in _REFERENCES:
                reference = part.get(keyword)
                if not isinstance(reference, str):
                    continue
                found = self._find(_join(base, reference))
                if found:
                    self.targets.setdefault(id(part), []).extend(found)
                else:
                    self.unresolved = self.unresolved or reference

    def _find(self, uri: str) -> list[JSON]:
        resource, _, fragment = uri.partition("#")
        if resource not in self._resources:
            return []
        if fragment and not fragment.startswith("/"):
            return self._anchors.get(uri, [])
        part: Any = self._resources[resource]
        for token in tokens(unquote(fragment)):
            if isinstance(part, dict) and token in part:
                part = part[token]
            elif isinstance(part, list) and token.isdecimal() and int(token) < len(part):
                part = part[int(token)]
            else:
                return []
        return [part]


def _join(base: str, reference: str) -> str:
    try:
        return urljoin(base, reference)
    except ValueError:  # no URI: the validator refuses it
        return reference
