"""The type of JSON values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from pydantic import JsonValue

    JSON: TypeAlias = JsonValue
    """A JSON value: null, a boolean, a number, a string, a list or an object."""
else:
    JSON = Any  # models do not validate free data: YAML and JSON contain nothing else
