"""Relay global ids: opaque to clients; they hold the type's name and the row's id."""

from __future__ import annotations

import base64
import binascii
from uuid import UUID

from coe.errors import NotFound
from coe.formats import uuids


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
    except (binascii.Error, UnicodeDecodeError, ValueError):
        raise NotFound from None
    kind, separator, key = plain.partition(":")
    if not separator or not key or to_global(kind, key) != text.rstrip("="):
        raise NotFound
    return kind, key


def to_uuid(kind: str, text: str) -> UUID:
    """The UUID of a thing of this type, from its global id or its plain UUID.

    Raises:
        NotFound: It is neither, or the id of another type.
    """
    try:
        return uuids.read(text)
    except ValueError:
        found, key = split(text)
    if found != kind:
        raise NotFound
    try:
        return uuids.read(key)
    except ValueError:
        raise NotFound from None
