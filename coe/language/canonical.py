"""The canonical form of a document, and its digest.

Documents with the same canonical form hold the same data: comments, layout, key order and the
choice between YAML and JSON do not count. Numbers are written as in RFC 8785, as far as Python's
shortest form agrees; whole floating-point numbers are written as integers.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import orjson

from coe.json_types import JSON


def canonical(data: JSON) -> bytes:
    """UTF-8 JSON with sorted keys, without white space; raises ValueError if it is not JSON."""
    plain = _whole(data)
    try:
        return orjson.dumps(plain, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:
        # Whole numbers of more than 64 bits, which the standard library can write.
        text = json.dumps(
            plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
        )
        return text.encode()


def digest(data: JSON) -> str:
    """The SHA-256 of the canonical form, in hex."""
    return hashlib.sha256(canonical(data)).hexdigest()


def _whole(data: Any) -> Any:
    """The same data with 1.0 as 1, the same number in JSON."""
    if isinstance(data, float) and data.is_integer() and abs(data) < 2**53:
        return int(data)
    if isinstance(data, dict):
        return {key: _whole(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_whole(value) for value in data]
    return data
