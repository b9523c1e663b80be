"""The type of JSON values, and their text."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeAlias

import orjson

if TYPE_CHECKING:
    from pydantic import JsonValue

    JSON: TypeAlias = JsonValue
    """A JSON value: null, a boolean, a number, a string, a list or an object."""
else:
    JSON = Any  # models do not validate free data: YAML and JSON contain nothing else


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
