"""The leaf of `call: http`: a request made of its arguments, an output made of the answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import httpx

from coe.json_types import JSON
from coe.leaves.authentication import send_as
from coe.leaves.http_body import as_text, encoded
from coe.leaves.http_response import output_of_call
from coe.leaves.leaf import LeafFault, LeafIO
from coe.leaves.transport import Request
from coe.machine.commands import RunLeaf
from coe.machine.errors import standard

_DOTS: Final = frozenset({".", "..", "%2e", "%2e%2e", ".%2e", "%2e."})


async def call_http(command: RunLeaf, io: LeafIO) -> JSON:
    """Send the request of a call, and give what its `output` asks for.

    Raises:
        LeafFault: `communication` with the answer's status, unless it is 2xx (or, with `redirect`,
            3xx); `timeout`; or what `coe.leaves.transport.send` raises.
    """
    arguments = command.arguments if isinstance(command.arguments, dict) else {}
    request = _request(command, arguments)
    sent = await send_as(request, command.authentication, io)
    return output_of_call(sent, command.path, arguments, command.secrets)


def first_headers(command: RunLeaf) -> httpx.Headers:
    """What every request of a step carries: its key, and the trace that it belongs to."""
    headers = httpx.Headers({"Idempotency-Key": command.key, "Accept-Encoding": "identity"})
    if command.traceparent is not None:
        headers["traceparent"] = command.traceparent
    return headers


def malformed(command: RunLeaf, detail: str | None = None) -> LeafFault:
    """The error of a request that cannot be made of its arguments."""
    title = "The address or a header of the request is malformed"
    return LeafFault(standard("validation", title=title, detail=detail, instance=command.path))


def climbs(url: str) -> bool:
    """Whether a path has `.` or `..` in it: data in a path must not lead to another resource."""
    path = url.partition("?")[0].partition("#")[0].partition("://")[2]
    return any(segment.lower() in _DOTS for segment in path.replace("\\", "/").split("/")[1:])


def _request(command: RunLeaf, arguments: Mapping[str, JSON]) -> Request:
    headers = first_headers(command)
    given = arguments.get("headers")
    if climbs(str(arguments.get("endpoint"))):
        raise malformed(command, "its path has `.` or `..` in it")
    try:
        for name, value in (given if isinstance(given, dict) else {}).items():
            if value is not None:
                headers[name] = as_text(value)
        url = _url(arguments)
        content, kind = encoded(arguments.get("body"), headers.get("Content-Type"))
    except (httpx.InvalidURL, ValueError):
        raise malformed(command) from None
    if kind is not None:
        headers["Content-Type"] = kind
    method = str(arguments.get("method", "get")).upper()
    return Request(method, url, command.path, dict(headers), content, team=command.team)


def _url(arguments: Mapping[str, JSON]) -> httpx.URL:
    url, query = httpx.URL(str(arguments.get("endpoint"))), arguments.get("query")
    for name, value in (query if isinstance(query, dict) else {}).items():
        for one in value if isinstance(value, list) else [value]:
            if one is not None:
                url = url.copy_add_param(name, as_text(one))
    return url.copy_with(fragment=None, username=None, password=None)
