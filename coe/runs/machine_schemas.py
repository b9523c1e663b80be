"""Checking data against JSON Schemas (2020-12) of a definition, without any network."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import orjson
from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.exceptions import Unresolvable

from coe.db import JSON

# Most violations that one error tells of.
MOST = 10


class BadSchema(Exception):
    """A schema of the definition cannot be used: malformed, or it refers to what is not in it."""


@lru_cache(maxsize=256)
def _validator(text: bytes) -> Draft202012Validator:
    # An empty registry: a reference to another document is refused, never fetched.
    return Draft202012Validator(orjson.loads(text), registry=Registry())


def violations(schema: JSON, value: JSON) -> tuple[str, ...]:
    """What is wrong with a value: places and rules, never the values themselves.

    Raises:
        BadSchema: the schema cannot be used.
    """
    validator = _validator(orjson.dumps(schema, option=orjson.OPT_SORT_KEYS))
    found: list[str] = []
    try:
        for error in validator.iter_errors(value):
            found.append(_told(error))
            if len(found) == MOST:
                break
    except (Unresolvable, TypeError, ValueError, AttributeError) as error:
        raise BadSchema(type(error).__name__) from None
    return tuple(found)


def _told(error: Any) -> str:
    """The place in the data and the rule that it breaks; a missing name is the schema's own."""
    place = "".join(f"/{part}" for part in error.absolute_path) or "/"
    rule, wanted, instance = error.validator, error.validator_value, error.instance
    if rule == "required":
        missing = [name for name in wanted if name not in instance]
        return f"{place} lacks {', '.join(missing)}"
    if rule == "type":
        return f"{place} is not of type {wanted}"
    return f"{place} breaks `{rule}`"
