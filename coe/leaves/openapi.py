"""The leaf of `call: openapi`: fetch the document, find the operation, call it.

`parameters` holds the operation's parameters by name (`query.id` where two have the same name), the
body as `body` (or by its name in a 2.0 document) or the properties of an object body one by one,
and the API keys that the document's security requires.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import httpx

from coe.json_types import JSON
from coe.language.openapi.document import Operation, RequestBody
from coe.language.openapi.parameters import (
    Parameter,
    cookie_pairs,
    header_text,
    path_text,
    query_pairs,
)
from coe.language.openapi.references import OpenApiError
from coe.language.request_arguments import has_dot_segments
from coe.language.suggestions import did_you_mean
from coe.leaves.authentication import send_authenticated
from coe.leaves.http import encoded_body, malformed, step_headers
from coe.leaves.http_response import call_output
from coe.leaves.leaf import LeafFault, LeafIO
from coe.leaves.openapi_fetch import fetch_document
from coe.leaves.transport import HttpRequest
from coe.machine.commands import RunLeaf
from coe.machine.errors import standard_error

_BODY: Final = "body"


async def call_openapi(command: RunLeaf, io: LeafIO) -> JSON:
    """Call the operation; return the response in the form that `output` names.

    Raises:
        LeafFault: `configuration` (400) for a document that cannot be used or lacks the operation;
            `validation` (400) for a parameter that is missing, unknown or cannot be sent; or what
            `call_http` raises.
    """
    arguments = command.arguments if isinstance(command.arguments, dict) else {}
    document = await fetch_document(command, str(arguments.get("document")), io)
    try:
        operation = document.operation(str(arguments.get("operationId")))
    except OpenApiError as error:
        raise _unusable(command, str(error)) from None
    if not operation.servers:
        raise _unusable(command, "it names no server with an HTTP address")
    parameters = arguments.get("parameters")
    request = _request(command, operation, parameters if isinstance(parameters, dict) else {})
    exchange = await send_authenticated(request, command.authentication, io)
    return call_output(exchange, command.path, arguments, command.secrets)


def _unusable(command: RunLeaf, detail: str) -> LeafFault:
    title = "The OpenAPI document does not say how to make this call"
    return LeafFault(
        standard_error("configuration", title=title, detail=detail, instance=command.path)
    )


def _invalid_parameters(command: RunLeaf, operation: Operation, message: str) -> LeafFault:
    title = f"The parameters do not fit the operation {operation.id}"
    return LeafFault(
        standard_error("validation", title=title, detail=message, instance=command.path)
    )


@dataclass(slots=True)
class _Parts:
    """The parts of a request while it is built."""

    path: str
    query: list[str] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    cookies: list[str] = field(default_factory=list)

    def put(self, parameter: Parameter, value: JSON) -> None:
        """Add a parameter to its part of the request.

        Raises:
            ValueError: The value cannot be written there.
        """
        match parameter.place:
            case "path":
                text = path_text(parameter, value)
                self.path = self.path.replace("{" + parameter.name + "}", text)
            case "query":
                self.query += query_pairs(parameter, value)
            case "header":
                self.headers[parameter.name] = header_text(parameter, value)
            case _:
                self.cookies += cookie_pairs(parameter, value)


def _request(command: RunLeaf, operation: Operation, values: Mapping[str, JSON]) -> HttpRequest:
    rest: dict[str, JSON] = {name: one for name, one in values.items() if one is not None}
    parts = _Parts(operation.path)
    for parameter in (*operation.parameters, *operation.keys):
        name = _name_in(parameter, rest)
        if name is None:
            if parameter.required:
                where = f"`{parameter.name}` ({parameter.place})"
                raise _invalid_parameters(command, operation, f"the parameter {where} is missing")
            continue
        try:
            parts.put(parameter, rest.pop(name))
        except ValueError as error:
            raise _invalid_parameters(command, operation, f"`{name}`: {error}") from None
    body = _body(command, operation, rest)
    if rest:
        raise _invalid_parameters(command, operation, _unknown(next(iter(rest)), operation))
    return _assembled(command, operation, parts, body)


def _name_in(parameter: Parameter, values: Mapping[str, JSON]) -> str | None:
    """The name under which a call gives the value: `place.name`, or the name alone."""
    full = f"{parameter.place}.{parameter.name}"
    return next((name for name in (full, parameter.name) if name in values), None)


def _unknown(name: str, operation: Operation) -> str:
    known = [each.name for each in (*operation.parameters, *operation.keys)]
    if operation.body is not None:
        known += [operation.body.name, *sorted(operation.body.properties)]
    return f"there is no parameter `{name}`{did_you_mean(name, known)}"


def _body(command: RunLeaf, operation: Operation, rest: dict[str, JSON]) -> JSON:
    """Take the body out of the remaining parameters: as a whole, or by its properties."""
    body = operation.body
    if body is None:
        return None
    for name in (body.name, _BODY):
        if name in rest and name not in body.properties - {body.name}:
            return rest.pop(name)
    if missing := sorted(body.needed - rest.keys()):
        raise _invalid_parameters(
            command, operation, f"the parameter `{missing[0]}` (formData) is missing"
        )
    value = {name: rest.pop(name) for name in sorted(body.properties & rest.keys())}
    if value:
        return {name: _joined(body, name, each) for name, each in value.items()}
    if body.required:
        raise _invalid_parameters(command, operation, f"the body `{body.name}` is missing")
    return None


def _joined(body: RequestBody, name: str, value: JSON) -> JSON:
    if name not in body.joined or not isinstance(value, list):
        return value
    return body.joined[name].join(str(each) for each in value if each is not None)


def _assembled(command: RunLeaf, operation: Operation, parts: _Parts, body: JSON) -> HttpRequest:
    headers = step_headers(command)
    kind = operation.body.kinds[0] if operation.body is not None and body is not None else None
    headers["Accept"] = ", ".join((*operation.accepts[:1], "*/*;q=0.1"))
    try:
        headers.update(parts.headers)
        if parts.cookies:
            headers["Cookie"] = "; ".join(parts.cookies)
        url = _url(operation, parts)
    except (httpx.InvalidURL, ValueError):
        raise malformed(command) from None
    if has_dot_segments(str(url)):
        raise malformed(command, "its path contains `.` or `..`")
    encodings = operation.body.encodings if operation.body is not None else {}
    content, kind = encoded_body(command, body, headers.get("Content-Type") or kind, encodings)
    if kind is not None:
        headers["Content-Type"] = "application/json" if "*" in kind else kind
    return HttpRequest(
        operation.method, url, command.path, dict(headers), content, team=command.team
    )


def _url(operation: Operation, parts: _Parts) -> httpx.URL:
    """The server's URL followed by the path and the encoded query."""
    server = httpx.URL(operation.servers[0])
    path = server.raw_path.partition(b"?")[0].rstrip(b"/") + parts.path.encode()
    query = "&".join(parts.query).encode()
    raw = path + (b"?" + query if query else b"")
    return server.copy_with(raw_path=raw, fragment=None, username=None, password=None)
