"""Encode the bodies of requests by their media type."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlencode

import orjson

from coe.json_types import JSON, value_text

FORM_TYPE: Final = "application/x-www-form-urlencoded"
MULTIPART_TYPE: Final = "multipart/form-data"
_BINARY: Final = ("application/octet-stream", "application/pdf", "image/", "audio/", "video/")


def encode_body(body: JSON, kind: str | None) -> tuple[bytes | None, str | None]:
    """Encode a body; return its bytes and their media type.

    Text is sent unchanged; for a binary type it is decoded from base64, in which the language
    shows bytes. An object is sent as a form where `kind` names one, with lists as repeated names.
    Everything else is JSON.

    Raises:
        ValueError: The body cannot be encoded as this type.
    """
    if body is None:
        return None, kind
    plain = (kind or "").partition(";")[0].strip().lower()
    if isinstance(body, str):
        if plain.startswith(_BINARY):
            return base64.b64decode(body, validate=True), kind
        return body.encode(), kind or "text/plain; charset=utf-8"
    if isinstance(body, dict) and plain == FORM_TYPE:
        return urlencode(list(_pairs(body))).encode(), kind
    if isinstance(body, dict) and plain == MULTIPART_TYPE:
        return _multipart(body)
    return orjson.dumps(body), kind or "application/json"


def _pairs(body: dict[str, JSON]) -> Iterator[tuple[str, str]]:
    for name, value in body.items():
        for one in value if isinstance(value, list) else [value]:
            if one is not None:
                yield name, value_text(one)


def _multipart(body: dict[str, JSON]) -> tuple[bytes, str]:
    """Encode a form (RFC 7578) whose parts are texts, or objects as JSON.

    The boundary is a digest of the body: the same body gives the same bytes, and no value of a
    body can contain its own boundary.
    """
    parts = list(_pairs(body))
    boundary = hashlib.sha256(orjson.dumps(parts)).hexdigest()
    content = bytearray()
    for name, text in parts:
        quoted = name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
        content += f'--{boundary}\r\nContent-Disposition: form-data; name="{quoted}"\r\n'.encode()
        kind = "text/plain; charset=utf-8"
        if not isinstance(body[name], str | list) and text[:1] in {"{", "["}:
            kind = "application/json"
        content += f"Content-Type: {kind}\r\n\r\n".encode() + text.encode() + b"\r\n"
    content += f"--{boundary}--\r\n".encode()
    return bytes(content), f"{MULTIPART_TYPE}; boundary={boundary}"
