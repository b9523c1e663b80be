"""Ids as clients write them: global ids of Relay, plain UUIDs, and names as the audit log has them.

A global id is opaque to clients; it holds the type's name and the row's id. A plain UUID is what
workers and people know; `run:<uuid>` is how the audit log names a run.
"""

from __future__ import annotations

import base64
import binascii
from typing import Final
from uuid import UUID

from coe.errors import NotFound
from coe.formats import uuids

RESOURCES: Final = {
    "AuditEvent": "audit_event",
    "Client": "client",
    "DecisionTable": "decision",
    "Flow": "flow",
    "HumanTask": "human_task",
    "RefusedRow": "audit:row",
    "Run": "run",
    "Session": "session",
    "System": "system",
    "Team": "team",
    "Template": "template",
    "Token": "token",
    "TrustRule": "trust",
    "Worker": "worker",
}
"""For a type its kind of resource in the audit log, by which its id can be written too."""

_BY_UUID: Final = frozenset(
    {"Client", "HumanTask", "Run", "Session", "Token", "TrustRule", "Worker"}
)
"""Those that the audit log names by their ids."""


def to_global(kind: str, key: str | UUID) -> str:
    """The global id of a thing, such as `to_global("Run", run.id)`."""
    return base64.urlsafe_b64encode(f"{kind}:{key}".encode()).decode().rstrip("=")


def split(text: str) -> tuple[str, str]:
    """Split a global id into the type's name and the key.

    Raises:
        NotFound: It is not a global id of this API.
    """
    padded = text + "=" * (-len(text) % 4)
    try:
        plain = base64.b64decode(padded, altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeError, ValueError):
        raise NotFound(_unreadable(text)) from None
    kind, separator, key = plain.partition(":")
    if not separator or not key or to_global(kind, key) != text.rstrip("="):
        raise NotFound(_unreadable(text))
    return kind, key


def is_global(text: str) -> bool:
    """Whether a text is a global id of this API."""
    try:
        split(text)
    except NotFound:
        return False
    return True


def plain_uuid(text: str) -> UUID | None:
    """The UUID that a text is; None if it is none."""
    try:
        return uuids.read(text)
    except ValueError:
        return None


def resource_name(text: str) -> str:
    """The name in the audit log of the run, session, task or token that a global id is of.

    Any other text is unchanged: the log names entries and teams by ref and slug, not by their ids.
    """
    if ":" in text or not is_global(text):
        return text
    kind, key = split(text)
    return f"{RESOURCES[kind]}:{key}" if kind in _BY_UUID else text


def to_uuid(kind: str, text: str) -> UUID:
    """The UUID of a thing of this type, from its global id, its UUID or its name in the log.

    Raises:
        NotFound: It is none of these, or the id of another type.
    """
    name, colon, rest = text.partition(":")
    plain = plain_uuid(rest if colon and name == RESOURCES.get(kind) else text)
    if plain is not None:
        return plain
    found, key = split(text)
    plain = plain_uuid(key)
    if found != kind or plain is None:
        raise NotFound(f"{text[:80]!r} is the id of a {found}, not of a {kind}")
    return plain


def _unreadable(text: str) -> str:
    return f"{text[:80]!r} is not an id: neither a global id nor a UUID"
