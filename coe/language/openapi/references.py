"""Resolve the references of an OpenAPI document, within the document and without circles."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import unquote

from coe.json_types import JSON
from coe.language.source import tokens

_MAX_REFERENCES: Final = 50


class OpenApiError(ValueError):
    """The document does not say how to call the operation; the message says what is wrong."""


def dereference(document: dict[str, Any], node: JSON) -> dict[str, Any]:
    """The object that a node is or refers to; an empty one if it is not an object.

    Raises:
        OpenApiError: A reference leads to another document, to nothing, or to itself.
    """
    seen: set[str] = set()
    siblings: dict[str, Any] = {}
    while isinstance(node, dict) and isinstance(node.get("$ref"), str):
        ref = str(node["$ref"])
        if ref in seen or len(seen) > _MAX_REFERENCES:
            raise OpenApiError(f"the reference `{ref}` leads to itself")
        seen.add(ref)
        siblings = {key: value for key, value in node.items() if key != "$ref"} | siblings
        node = _target(document, ref)
    return {**node, **siblings} if isinstance(node, dict) else {}


def _target(document: dict[str, Any], ref: str) -> JSON:
    if not ref.startswith("#"):
        raise OpenApiError(f"`{ref}` refers to another document, which is not supported")
    node: JSON = document
    for token in tokens(unquote(ref[1:])):
        if isinstance(node, list) and token.isdecimal() and int(token) < len(node):
            node = node[int(token)]
        elif isinstance(node, dict) and token in node:
            node = node[token]
        else:
            raise OpenApiError(f"the reference `{ref}` leads to nothing")
    return node


def items_of(value: JSON) -> list[JSON]:
    """The value if it is a list, else an empty list."""
    return value if isinstance(value, list) else []


def text_items(value: JSON) -> list[str]:
    """The texts of a list."""
    return [each for each in items_of(value) if isinstance(each, str)]
