"""Fetch OpenAPI documents like any other request, and cache them."""

from __future__ import annotations

import asyncio
import codecs
import hashlib
from typing import Any, Final

import httpx
import orjson
import yaml
from yaml.resolver import BaseResolver

from coe.json_types import JSON
from coe.language.openapi.document import OpenApiDocument
from coe.language.openapi.references import OpenApiError
from coe.leaves.authentication import send_authenticated
from coe.leaves.leaf import MEGABYTE, LeafFault, LeafIO
from coe.leaves.transport import HttpRequest
from coe.machine.commands import RunLeaf
from coe.machine.errors import standard_error

MAX_DOCUMENT_BYTES: Final = 10 * MEGABYTE
MAX_YAML_BYTES: Final = 2 * MEGABYTE
"""YAML has a lower limit, as it is read a hundred times more slowly than JSON."""


async def fetch_document(command: RunLeaf, uri: str, io: LeafIO) -> OpenApiDocument:
    """Return the document at an address, from the cache or with the call's authentication.

    Raises:
        LeafFault: `configuration` (400) when it is no supported OpenAPI document, `communication`
            when it cannot be fetched; or what `send` raises.
    """
    policy = command.document_authentication
    key = hashlib.sha256(orjson.dumps([command.team, uri, policy])).digest()
    document = io.documents.get(key)
    if document is not None:
        return document
    content = await _fetched(command, uri, policy, io)
    digest = hashlib.sha256(content).digest()
    document = io.documents.renew(key, digest)
    if document is None:
        try:
            document = await asyncio.to_thread(_read, content, uri)
        except OpenApiError as error:
            raise _fault(command, "configuration", detail=str(error)) from None
        io.documents.put(key, digest, len(content), document)
    return document


async def _fetched(command: RunLeaf, uri: str, policy: JSON, io: LeafIO) -> bytes:
    headers = {
        "Accept": "application/json, application/yaml;q=0.9, */*;q=0.1",
        "Accept-Encoding": "identity",
    }
    try:
        url = httpx.URL(uri).copy_with(fragment=None, username=None, password=None)
    except (httpx.InvalidURL, ValueError):
        raise _fault(command, "configuration", detail="its address is malformed") from None
    request = HttpRequest("GET", url, command.path, headers, team=command.team)
    response = (await send_authenticated(request, policy, io)).response
    if response.status != httpx.codes.OK:
        detail = f"its address responds with status {response.status}"
        raise _fault(command, "communication", detail=detail, status=response.status)
    if len(response.content) > MAX_DOCUMENT_BYTES:
        raise _fault(
            command, "configuration", detail=f"it is larger than {MAX_DOCUMENT_BYTES:,} bytes"
        )
    return response.content


def _fault(command: RunLeaf, kind: str, *, detail: str, status: int | None = None) -> LeafFault:
    title = "The OpenAPI document cannot be used"
    error = standard_error(kind, title=title, detail=detail, status=status, instance=command.path)
    return LeafFault(error)


# ---------------------------------------------------------------- reading
def _read(content: bytes, uri: str) -> OpenApiDocument:
    """Parse a document of JSON or YAML. Blocks: a second for a megabyte of YAML.

    Raises:
        OpenApiError: It is no supported OpenAPI document.
    """
    content = content.removeprefix(codecs.BOM_UTF8)
    if content.lstrip()[:1] in {b"{", b""}:
        try:
            return OpenApiDocument(orjson.loads(content), uri)
        except orjson.JSONDecodeError:
            pass
    if len(content) > MAX_YAML_BYTES:
        raise OpenApiError(f"it is not JSON, and as YAML larger than {MAX_YAML_BYTES:,} bytes")
    try:
        return OpenApiDocument(yaml.load(content, Loader=_Loader), uri)  # noqa: S506 - makes plain data
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        if isinstance(error, OpenApiError):
            raise
        raise OpenApiError("it is neither JSON nor YAML") from None


class _Loader(yaml.CBaseLoader):
    """Reads plain data: `true`, `false`, `null`, and every other scalar as text.

    YAML 1.1 would read `on` as true and `2020-01-01` as a date; keys such as `200` stay text.
    """


def _scalar(loader: _Loader, node: yaml.ScalarNode) -> JSON:  # noqa: ARG001 - the signature of a constructor
    if node.style:  # quoted, or a block
        return str(node.value)
    match node.value:
        case "true" | "True" | "TRUE":
            return True
        case "false" | "False" | "FALSE":
            return False
        case "" | "~" | "null" | "Null" | "NULL":
            return None
        case text:
            return str(text)


def _mapping(loader: _Loader, node: yaml.MappingNode) -> Any:
    made: dict[str, JSON] = {}
    yield made
    for key, value in node.value:
        made[str(key.value)] = loader.construct_object(value, deep=False)


def _sequence(loader: _Loader, node: yaml.SequenceNode) -> Any:
    made: list[JSON] = []
    yield made
    made += [loader.construct_object(each, deep=False) for each in node.value]


_Loader.add_constructor(BaseResolver.DEFAULT_SCALAR_TAG, _scalar)
_Loader.add_constructor(BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
_Loader.add_constructor(BaseResolver.DEFAULT_SEQUENCE_TAG, _sequence)
