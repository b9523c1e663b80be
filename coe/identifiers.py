"""Identifiers that all packages share: the names of teams and roles, and the platform's team."""

from __future__ import annotations

import re
from typing import Final

PLATFORM_TEAM: Final = "coe"
"""The team of the platform; it owns what belongs to no other team."""

WORKER_ROLE: Final = "worker"
"""The role that only a team's own worker has."""
_WORKER: Final = "service:worker/"

SLUG: Final = r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*"
"""The pattern of the name of a team or a role."""

_SLUG: Final = re.compile(SLUG)
_MAX_LENGTH: Final = 63


ROLE: Final = rf"(?:(?:{SLUG}|\*)/)?{SLUG}"
"""The pattern of a role of a human task: `role`, `team/role`, or `*/role` for every team."""

EVERY_TEAM: Final = "*"


def qualified_role(role: str, team: str) -> str:
    """The role with its team: one that names none is held in the team given, that of the flow."""
    return role if "/" in role else f"{team}/{role}"


def is_slug(value: str) -> bool:
    """Whether this is a valid name of a team or a role: at most 63 characters of `SLUG`."""
    return len(value) <= _MAX_LENGTH and _SLUG.fullmatch(value) is not None


def worker_subject(team: str) -> str:
    """The subject of the workers of a team."""
    return _WORKER + team


def is_worker(subject: str) -> bool:
    """Whether this is the subject of the workers of a team."""
    return subject.startswith(_WORKER)


def team_of_worker(subject: str) -> str:
    """The team whose workers have this subject."""
    return subject.removeprefix(_WORKER)
