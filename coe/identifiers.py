"""Identifiers that every package shares: names of teams and roles, and the platform's own team."""

from __future__ import annotations

import re
from typing import Final

PLATFORM_TEAM: Final = "coe"
"""The team that owns the platform and what belongs to no other team."""

SLUG: Final = r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*"
"""The pattern of a name of a team or a role."""

_SLUG: Final = re.compile(SLUG)
_MAX_LENGTH: Final = 63


def is_slug(value: str) -> bool:
    """Whether this can name a team or a role: words of a-z and 0-9 with hyphens, at most 63."""
    return len(value) <= _MAX_LENGTH and _SLUG.fullmatch(value) is not None
