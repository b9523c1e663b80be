"""Patterns of event filters: text that is compared as a regular expression with a whole value.

They are those of JSON Schema (ECMA-262, without look-around and back-references): the values come
from other systems, and an engine that backtracks could be kept busy by them for hours.
"""

from __future__ import annotations

import re
from typing import Final

from coe.language.json_schema.validator import is_pattern, matches

# What makes text a pattern, or an expression; a dot alone does not: most event types have some.
_SIGNS: Final = re.compile(r"[\\^$*+?()\[\]|]")


def has_signs(text: str) -> bool:
    """Whether a text has anything that only a pattern has."""
    return _SIGNS.search(text) is not None


def is_usable(pattern: str) -> bool:
    """Whether a text with signs is a regular expression that can be used here."""
    return is_pattern(_whole(pattern))


def matches_whole(pattern: str, value: str) -> bool:
    """Whether a pattern matches a whole value; text that is no pattern matches nothing."""
    return has_signs(pattern) and is_usable(pattern) and matches(_whole(pattern), value)


def _whole(pattern: str) -> str:
    return f"^(?:{pattern})$"
