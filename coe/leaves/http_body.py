"""Encode the bodies of requests by their media type."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote_plus, unquote

import orjson

from coe.json_types import JSON, value_text
from coe.language.openapi.encoding import MULTIPART, URLENCODED, PropertyEncoding
from coe.language.openapi.parameters import Parameter, query_pairs

_BINARY: Final = ("application/octet-stream", "application/pdf", "image/", "audio/", "video/")
_PLAIN: Final = PropertyEncoding()


def encode_body(
    body: JSON, kind: str | None, encodings: Mapping[str, PropertyEncoding] | None = None
) -> tuple[bytes | None, str | None]:
    """Encode a body; return its bytes and their media type.

    Text is sent unchanged; for a binary type it is decoded from base64, in which the language
    shows bytes. An object is sent as a form where `kind` names one, with lists as repeated names;
    `encodings` say for its properties how else they are written. Everything else is JSON.

    Raises:
        ValueError: The body cannot be encoded as this type.
    """
    if body is None:
        return None, kind
    plain = _plain(kind)
    if isinstance(body, str):
        if plain.startswith(_BINARY):
            return base64.b64decode(body, validate=True), kind
        return body.encode(), kind or "text/plain; charset=utf-8"
    if isinstance(body, dict) and plain == URLENCODED:
        return "&".join(_form(body, encodings or {})).encode(), kind
    if isinstance(body, dict) and plain == MULTIPART:
        return _multipart(list(_parts(body, encodings or {})))
    return orjson.dumps(body), kind or "application/json"


def _plain(kind: str | None) -> str:
    return (kind or "").partition(";")[0].strip().lower()


def _items(value: JSON) -> Iterator[JSON]:
    """The values of a property: those of a list one by one, without those that are null."""
    for one in value if isinstance(value, list) else [value]:
        if one is not None:
            yield one


def _encoded(value: JSON, kind: str) -> bytes:
    """The bytes of one value as a media type.

    Raises:
        ValueError: An object or a list is no JSON, or text for a binary type is no base64.
    """
    plain = _plain(kind)
    if plain == "application/json" or plain.endswith("+json"):
        return orjson.dumps(value)
    if isinstance(value, dict | list):
        raise ValueError(f"an object or a list cannot be sent as {kind}")  # noqa: TRY004 - bad data
    if isinstance(value, str) and plain.startswith(_BINARY):
        return base64.b64decode(value, validate=True)
    return value_text(value).encode()


# ---------------------------------------------------------------- forms
def _form(body: Mapping[str, JSON], encodings: Mapping[str, PropertyEncoding]) -> Iterator[str]:
    """The pairs of a form, encoded."""
    for name, value in body.items():
        encoding = encodings.get(name, _PLAIN)
        if encoding.styled is not None and value is not None:
            yield from query_pairs(encoding.styled, value)
            continue
        for one in _items(value):
            text = value_text(one) if encoding.kind is None else _encoded(one, encoding.kind)
            yield f"{quote_plus(name)}={quote_plus(text)}"


# ---------------------------------------------------------------- multipart
@dataclass(frozen=True, slots=True)
class _Part:
    name: str
    kind: str
    content: bytes
    headers: Mapping[str, str]


def _parts(body: Mapping[str, JSON], encodings: Mapping[str, PropertyEncoding]) -> Iterator[_Part]:
    for name, value in body.items():
        encoding = encodings.get(name, _PLAIN)
        if encoding.styled is not None and value is not None:
            for key, text in _styled_texts(encoding.styled, value):
                yield _Part(key, "text/plain; charset=utf-8", text.encode(), encoding.headers)
            continue
        for one in _items(value):
            kind = encoding.kind or _kind_of(one)
            yield _Part(name, kind, _encoded(one, kind), encoding.headers)


def _kind_of(value: JSON) -> str:
    """The media type of a part whose encoding names none."""
    return "application/json" if isinstance(value, dict | list) else "text/plain; charset=utf-8"


def _styled_texts(parameter: Parameter, value: JSON) -> Iterator[tuple[str, str]]:
    for pair in query_pairs(parameter, value):
        name, _, text = pair.partition("=")
        yield unquote(name), unquote(text)


def _multipart(parts: list[_Part]) -> tuple[bytes, str]:
    """Encode a form (RFC 7578).

    The boundary is a digest of the body: the same body gives the same bytes, and no value of a
    body can contain its own boundary.
    """
    digest = hashlib.sha256()
    for part in parts:
        head = [part.name, part.kind, dict(part.headers), len(part.content)]
        digest.update(orjson.dumps(head) + part.content)
    boundary = digest.hexdigest()
    content = bytearray()
    for part in parts:
        quoted = part.name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
        lines = [
            f'Content-Disposition: form-data; name="{quoted}"',
            f"Content-Type: {part.kind}",
            *(f"{name}: {value}" for name, value in part.headers.items()),
        ]
        if any("\r" in line or "\n" in line for line in lines):
            raise ValueError("a header of a part has a line break")
        head_bytes = "\r\n".join(lines).encode()
        content += f"--{boundary}\r\n".encode() + head_bytes + b"\r\n\r\n" + part.content + b"\r\n"
    content += f"--{boundary}--\r\n".encode()
    return bytes(content), f"{MULTIPART}; boundary={boundary}"
