"""The leaf of `call: http`."""

from __future__ import annotations

from collections.abc import Mapping

import httpx

from coe.json_types import JSON, value_text
from coe.language.openapi.encoding import PropertyEncoding
from coe.language.request_arguments import request_problems
from coe.leaves.authentication import send_authenticated
from coe.leaves.http_body import encode_body
from coe.leaves.http_response import call_output
from coe.leaves.leaf import LeafFault, LeafIO
from coe.leaves.transport import HttpRequest
from coe.machine.commands import RunLeaf
from coe.machine.errors import standard_error


async def call_http(command: RunLeaf, io: LeafIO) -> JSON:
    """Send the request of a call, and return the response in the form that `output` names.

    Raises:
        LeafFault: `communication` with the response's status, unless it is 2xx (with
            `redirect`, also 3xx); `timeout`; or what `coe.leaves.transport.send` raises.
    """
    arguments = command.arguments if isinstance(command.arguments, dict) else {}
    request = _request(command, arguments)
    exchange = await send_authenticated(request, command.authentication, io)
    return call_output(exchange, command.path, arguments, command.secrets)


def step_headers(command: RunLeaf) -> httpx.Headers:
    """The headers of every request of a step: its idempotency key and its trace."""
    headers = httpx.Headers({"Idempotency-Key": command.key, "Accept-Encoding": "identity"})
    if command.traceparent is not None:
        headers["traceparent"] = command.traceparent
    return headers


def malformed(command: RunLeaf, detail: str | None = None) -> LeafFault:
    """The `validation` error of arguments that make no valid request."""
    title = "The arguments make no valid request"
    return LeafFault(
        standard_error("validation", title=title, detail=detail, instance=command.path)
    )


def encoded_body(
    command: RunLeaf,
    body: JSON,
    kind: str | None,
    encodings: Mapping[str, PropertyEncoding] | None = None,
) -> tuple[bytes | None, str | None]:
    """The bytes of a body and their media type.

    Raises:
        LeafFault: `validation` (400), when it cannot be encoded as this type.
    """
    try:
        return encode_body(body, kind, encodings)
    except ValueError:
        raise malformed(command, f"its body cannot be sent as {kind or 'JSON'}") from None


def _request(command: RunLeaf, arguments: Mapping[str, JSON]) -> HttpRequest:
    problems = list(request_problems(arguments))
    if problems:
        raise malformed(command, "; ".join(problems))
    headers = step_headers(command)
    custom_headers = arguments.get("headers")
    try:
        for name, value in (custom_headers if isinstance(custom_headers, dict) else {}).items():
            if value is not None:
                headers[name] = value_text(value).strip(" \t")
        url = _url(arguments)
    except (httpx.InvalidURL, ValueError):
        raise malformed(command, "its address is malformed") from None
    content, kind = encoded_body(command, arguments.get("body"), headers.get("Content-Type"))
    if kind is not None:
        headers["Content-Type"] = kind
    method = str(arguments.get("method", "get")).upper()
    return HttpRequest(method, url, command.path, dict(headers), content, team=command.team)


def _url(arguments: Mapping[str, JSON]) -> httpx.URL:
    url, query = httpx.URL(str(arguments.get("endpoint"))), arguments.get("query")
    for name, value in (query if isinstance(query, dict) else {}).items():
        for one in value if isinstance(value, list) else [value]:
            if one is not None:
                url = url.copy_add_param(name, value_text(one))
    return url.copy_with(fragment=None, username=None, password=None)
