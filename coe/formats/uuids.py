"""UUIDs in the one form of RFC 9562: 36 characters, with hyphens, in either case."""

from __future__ import annotations

import re
from typing import Final
from uuid import UUID

_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def read(text: str) -> UUID:
    """Read a UUID; braces, `urn:uuid:` and a text without hyphens are refused.

    Raises:
        ValueError: It is not a UUID.
    """
    if not _UUID.fullmatch(text):
        raise ValueError("not a UUID such as 0192f3a4-5b6c-7d8e-9f01-23456789abcd")
    return UUID(text)
