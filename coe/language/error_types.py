"""The standard error types of the language, in one form for all of their hosts and paths.

The specification moved them from one host to another, and older versions have other paths; all
of them are the same error (dsl-reference.md, "Standard Error Types").
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

BASE: Final = "https://open-workflow-specification.org/spec/1.0.0/errors/"

# Each standard type with its default status.
STATUSES: Final[Mapping[str, int]] = {
    "configuration": 400,
    "validation": 400,
    "expression": 400,
    "authentication": 401,
    "authorization": 403,
    "timeout": 408,
    "communication": 500,
    "runtime": 500,
}

_STANDARD: Final = re.compile(
    r"https?://(?:www\.)?(?:open-workflow-specification\.org|serverlessworkflow\.io(?:\.io)?)"
    r"/(?:spec/[^/]+/errors|dsl/errors/types)/(?P<name>[a-z]+)/?"
)


def standard_name(uri: str) -> str | None:
    """The last part of a type on a host and path of the specification; None for any other type."""
    match = _STANDARD.fullmatch(uri)
    return match["name"] if match else None


def normal_type(uri: str) -> str:
    """A standard type in its current form; any other type unchanged."""
    name = standard_name(uri)
    return BASE + name if name is not None and name in STATUSES else uri
