"""How large a schema in a document may be: each pattern, and all patterns together.

These bounds stand before the work that a schema causes, and name the place of what is too large.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from coe.errors import Severity
from coe.json_types import JSON
from coe.language.json_schema.effort import states
from coe.language.source import point

MAX_PATTERN_LENGTH: Final = 1_000
"""Characters of one pattern."""
MAX_PATTERNS: Final = 200
"""Patterns of one schema."""
MAX_STATES: Final = 100_000
"""States of all patterns of one schema, as their lengths and repetitions show."""

_DATA: Final = frozenset(("const", "default", "enum", "examples"))


class SchemaFault(NamedTuple):
    """What is wrong with a schema, at a JSON pointer into it."""

    path: str
    message: str
    # A warning is about a schema that can be used, but may not mean what its author thinks.
    severity: Severity = Severity.ERROR


def excess(schema: JSON, path: str = "") -> Iterator[SchemaFault]:
    """Find the patterns of a schema that are too long, and the first that is one too many."""
    total = 0
    for number, (place, pattern) in enumerate(_patterns(schema, path), 1):
        total += states(pattern)
        if len(pattern) > MAX_PATTERN_LENGTH:
            message = f"a pattern has at most {MAX_PATTERN_LENGTH:,} characters: this has"
            yield SchemaFault(place, f"{message} {len(pattern):,}; write a shorter one")
        if number > MAX_PATTERNS:
            message = f"a schema has at most {MAX_PATTERNS} patterns"
            yield SchemaFault(place, f"{message}: define one that is repeated under `$defs`")
            return
        if total > MAX_STATES:
            message = "this pattern and those before it are too large together"
            yield SchemaFault(
                place, f"{message}: repeat less, as `{{1000}}` does, or use maxLength"
            )
            return


def _patterns(schema: JSON, path: str) -> Iterator[tuple[str, str]]:
    waiting: list[tuple[str, Any]] = [(path, schema)]
    while waiting:
        place, part = waiting.pop()
        if isinstance(part, dict):
            if isinstance(part.get("pattern"), str):
                yield f"{place}/pattern", part["pattern"]
            named = part.get("patternProperties")
            for key in named if isinstance(named, dict) else ():
                yield f"{place}/patternProperties{point(key)}", key
            inner = ((key, each) for key, each in reversed(part.items()) if key not in _DATA)
            waiting += [(place + point(key), each) for key, each in inner]
        elif isinstance(part, list):
            waiting += [
                (f"{place}/{index}", inner) for index, inner in reversed([*enumerate(part)])
            ]
