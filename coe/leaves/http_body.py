"""Bodies of requests: data as the bytes of its media type."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlencode

import orjson

from coe.json_types import JSON

FORM: Final = "application/x-www-form-urlencoded"
MULTIPART: Final = "multipart/form-data"
_BINARY: Final = ("application/octet-stream", "application/pdf", "image/", "audio/", "video/")


def encoded(body: JSON, kind: str | None) -> tuple[bytes | None, str | None]:
    """The bytes to send, and their media type: JSON unless `kind` or the body says otherwise.

    Text goes as it is; an object goes as a form where `kind` is one, lists in it as repeated
    names; text for a binary type is base64, as the language shows bytes.

    Raises:
        ValueError: The body cannot be sent as this type.
    """
    if body is None:
        return None, kind
    plain = (kind or "").partition(";")[0].strip().lower()
    if isinstance(body, str):
        if plain.startswith(_BINARY):
            return base64.b64decode(body, validate=True), kind
        return body.encode(), kind or "text/plain; charset=utf-8"
    if isinstance(body, dict) and plain == FORM:
        return urlencode(list(_pairs(body))).encode(), kind
    if isinstance(body, dict) and plain == MULTIPART:
        return _multipart(body)
    return orjson.dumps(body), kind or "application/json"


def as_text(value: JSON) -> str:
    """A value as a header, a query or a form has it: text as it is, anything else as JSON."""
    if isinstance(value, str):
        return value
    return orjson.dumps(value).decode()


def _pairs(body: dict[str, JSON]) -> Iterator[tuple[str, str]]:
    for name, value in body.items():
        for one in value if isinstance(value, list) else [value]:
            if one is not None:
                yield name, as_text(one)


def _multipart(body: dict[str, JSON]) -> tuple[bytes, str]:
    """The parts of a form (RFC 7578), each a text; objects as JSON. The same body, the same bytes.

    The boundary follows from the body, so that it cannot be known before the body is.
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
    return bytes(content), f"{MULTIPART}; boundary={boundary}"
