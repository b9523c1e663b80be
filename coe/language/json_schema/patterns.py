"""Patterns of event filters: regular expressions that must match a whole value.

They are those of JSON Schema (`ecmascript`): the values come from other systems, and an engine that
backtracks could be kept busy by them for hours.
"""

from __future__ import annotations

import re
from typing import Final

from coe.language.json_schema.ecmascript import NotAPattern
from coe.language.json_schema.validator import check_pattern, matches

# A text with one of these is a pattern. A dot alone is none: most event types have dots.
_SIGNS: Final = re.compile(r"[\\^$*+?()\[\]|]")


def has_signs(text: str) -> bool:
    """Whether a text has a character that only patterns have."""
    return _SIGNS.search(text) is not None


def fault_of(pattern: str) -> str | None:
    """Why a text is not a regular expression that can be used; None if it is."""
    try:
        check_pattern(pattern, whole=True)
    except NotAPattern as reason:
        return str(reason)
    return None


def matches_whole(pattern: str, value: str) -> bool:
    """Whether a pattern matches a whole value; a text that is not a pattern matches nothing."""
    return has_signs(pattern) and matches(pattern, value, whole=True)
