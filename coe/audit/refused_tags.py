"""The tags of refusals: those of the verbs that were refused."""

from __future__ import annotations

from typing import Final

from coe.access.permissions import Permission
from coe.audit.events import Tag

_SOURCES: Final = {
    "access": "access",
    "audit": "audit:log",
    "client": "access",
    "decision": "catalog",
    "event": "runs",
    "flow": "catalog",
    "human_task": "runs",
    "person": "access",
    "run": "runs",
    "schedule": "runs",
    "scim": "access",
    "session": "access",
    "team": "access",
    "template": "catalog",
    "token": "access",
    "trust": "access",
    "worker": "access",
}
_TAGS: Final = {tag.value: tag for tag in Tag}


def refused_tag(permission: Permission) -> Tag:
    """The tag of the refused verb, so that a search for the verb finds its refusals too."""
    noun, verb = permission.value.split(":", 1)
    source = _SOURCES.get(noun, "")
    name = f"{source}:{verb}" if ":" in source else f"{source}:{noun}:{verb}"
    return _TAGS.get(name, Tag.ACCESS_PERMISSION_REFUSE)
