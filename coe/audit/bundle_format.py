"""The format of a bundle: events as one file that anyone can verify offline.

Each line is a JSON object in canonical form (UTF-8, sorted keys, no white space), so that the
change of any byte is detected:

    header       format, the log's verification key, the filter (null for every event)
    checkpoint   the newest signed note: size and root of the tree
    leaves       up to 1,024 leaf hashes from `start` on, in hex; together all leaves of the log,
                 so that the root proves that none is missing
    event        the columns of an event, its sealed bytes (base64) and its inclusion proof; after
                 the line of its leaf, in order of position
    end          a signed note over the number of events and the SHA-256 of all lines before

Sealed values stay sealed: the file has no personal data in clear.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Final

import orjson

from coe.audit.canonical import canonical_json
from coe.audit.merkle import HASH_BYTES

if TYPE_CHECKING:
    from coe.json_types import JSON

FORMAT: Final = "coe-audit-bundle/1"
LEAVES_PER_LINE: Final = 1024
"""Leaf hashes in each line but the last."""

EVENT_KEYS: Final = frozenset(
    {
        "action",
        "actor",
        "actor_kind",
        "address",
        "at",
        "correlation_id",
        "detail_digest",
        "id",
        "outcome",
        "position",
        "reason_digest",
        "request_id",
        "resource",
        "rule",
        "team",
        "xid",
    }
)
"""The keys of `event`, as `coe.audit.records.AuditEventRecord.document` writes them."""


def end_text(origin: str, events: int, digest: str) -> str:
    """The text of the signed note at the end; its first line differs from a checkpoint's."""
    return f"{origin}/bundle\n{events}\n{digest}\n"


def line_object(line: bytes) -> dict[str, JSON] | None:
    """The object of a line; None if the line is not in canonical form."""
    try:
        content = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(content, dict) or canonical_json(content) + b"\n" != line:
        return None
    return content


def parse_hash(value: JSON) -> bytes | None:
    """The hash of a lower-case hex text; None for any other value."""
    try:
        decoded = bytes.fromhex(str(value))
    except ValueError:
        return None
    return decoded if len(decoded) == HASH_BYTES and decoded.hex() == value else None


def parse_sealed(value: JSON) -> bytes | None:
    """The bytes of a base64 text; None for null; empty bytes, which fit no digest, for the rest."""
    if value is None:
        return None
    try:
        decoded = base64.b64decode(str(value), validate=True)
    except (binascii.Error, ValueError):
        return b""
    return decoded if base64.b64encode(decoded).decode() == value else b""
