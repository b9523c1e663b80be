"""The canonical form in which the log's documents are hashed and written.

It is RFC 8785's for these documents: ASCII keys, and no numbers but integers below 2^53.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import TYPE_CHECKING

import orjson

from coe.formats import instants

if TYPE_CHECKING:
    from coe.json_types import JSON


def canonical_json(document: JSON) -> bytes:
    """A JSON document as UTF-8 with sorted keys and without white space."""
    return orjson.dumps(document, option=orjson.OPT_SORT_KEYS)


def format_instant(at: datetime) -> str:
    """A time in UTC to the microsecond, such as 2026-11-22T15:04:05.000000Z."""
    return instants.write_microseconds(at)


def digest_of(sealed: bytes | None) -> bytes | None:
    """The SHA-256 of sealed bytes; None for None."""
    return None if sealed is None else hashlib.sha256(sealed).digest()
