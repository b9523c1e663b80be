"""The leaf of `call: http`: a request made of its arguments, an output made of the answer."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode

import httpx
import orjson

from coe.language.fields import JSON
from coe.runs.commands import RunLeaf
from coe.runs.leaves import LeafFault, LeafIO
from coe.runs.leaves_auth import authorise
from coe.runs.leaves_transport import Answer, Request, send
from coe.runs.machine_errors import standard
from coe.runs.redaction import REDACTED, redacted, texts_of

_FORM: Final = "application/x-www-form-urlencoded"
# Headers that carry credentials, by their names or a part of them.
_CREDENTIALS: Final = ("authorization", "authenticate", "cookie", "token", "secret", "password")
_KEYS: Final = ("api-key", "apikey", "api_key", "auth-key", "access-key", "session", "signature")
_TEXTS: Final = ("xml", "yaml", "javascript", "graphql", "csv")


async def call_http(command: RunLeaf, io: LeafIO) -> JSON:
    """Send the request of a call, and give what its `output` asks for.

    Raises:
        LeafFault: `communication` with the answer's status, unless it is 2xx (or, with `redirect`,
            3xx); `timeout`; or what `coe.runs.leaves_transport.send` raises.
    """
    arguments = command.arguments if isinstance(command.arguments, dict) else {}
    request = _request(command, arguments)
    request = await authorise(request, command.authentication, io)
    answer = await send(request, io)
    _refuse(answer, command, redirect=bool(arguments.get("redirect")))
    # A token that was just asked for is not yet among the secrets of the command.
    _, _, token = request.headers.get("authorization", "").partition(" ")
    return redacted(_output(request, answer, command), texts_of(token))


def _output(request: Request, answer: Answer, command: RunLeaf) -> JSON:
    arguments = command.arguments if isinstance(command.arguments, dict) else {}
    match arguments.get("output"):
        case "raw":
            return base64.b64encode(answer.content).decode()
        case "response":
            return _response(request, answer, command)
        case _:
            return _content(answer, command)


# ---------------------------------------------------------------- the request
def _request(command: RunLeaf, arguments: Mapping[str, JSON]) -> Request:
    headers = httpx.Headers({"Idempotency-Key": command.key, "Accept-Encoding": "identity"})
    if command.traceparent is not None:
        headers["traceparent"] = command.traceparent
    given = arguments.get("headers")
    try:
        for name, value in (given if isinstance(given, dict) else {}).items():
            if value is not None:
                headers[name] = _text(value)
        url = _url(arguments)
    except (httpx.InvalidURL, ValueError):
        title = "The address or a header of the request is malformed"
        raise LeafFault(standard("validation", title=title, instance=command.path)) from None
    content = _body(arguments.get("body"), headers)
    method = str(arguments.get("method", "get")).upper()
    return Request(method, url, command.path, dict(headers), content)


def _url(arguments: Mapping[str, JSON]) -> httpx.URL:
    url, query = httpx.URL(str(arguments.get("endpoint"))), arguments.get("query")
    for name, value in (query if isinstance(query, dict) else {}).items():
        for one in value if isinstance(value, list) else [value]:
            if one is not None:
                url = url.copy_add_param(name, _text(one))
    return url.copy_with(fragment=None, username=None, password=None)


def _text(value: JSON) -> str:
    """A value as a header or a query has it."""
    if isinstance(value, str):
        return value
    return orjson.dumps(value).decode()


def _body(body: JSON, headers: httpx.Headers) -> bytes | None:
    """The bytes to send: text as it is, a form as its type says, anything else as JSON."""
    if body is None:
        return None
    if isinstance(body, str):
        headers.setdefault("Content-Type", "text/plain; charset=utf-8")
        return body.encode()
    if isinstance(body, dict) and headers.get("Content-Type", "").startswith(_FORM):
        return urlencode({name: _text(value) for name, value in body.items()}).encode()
    headers.setdefault("Content-Type", "application/json")
    return orjson.dumps(body)


# ---------------------------------------------------------------- the answer
def _refuse(answer: Answer, command: RunLeaf, *, redirect: bool) -> None:
    """Raise for a status that is an error."""
    if 200 <= answer.status < (400 if redirect else 300):  # noqa: PLR2004 - HTTP's own classes
        return
    problem: JSON = None
    if _media_type(answer) == "application/problem+json":
        problem = _json(answer.content)
    told = problem if isinstance(problem, dict) else {}
    title = str(told.get("title") or answer.reason or "The service refused the call")
    detail = told.get("detail")
    raise LeafFault(
        standard(
            "communication",
            title=title,
            detail=None if detail is None else str(detail),
            status=answer.status,
            instance=command.path,
        )
    )


def _media_type(answer: Answer) -> str:
    return str(answer.headers.get("Content-Type", "")).partition(";")[0].strip().lower()


def _json(content: bytes) -> JSON:
    """The value of JSON; None where it is none."""
    try:
        value: JSON = orjson.loads(content)
    except orjson.JSONDecodeError:
        return None
    return value


def _content(answer: Answer, command: RunLeaf) -> JSON:
    """The body, decoded by its type: JSON as its value, text as text, other bytes in base64."""
    if not answer.content:
        return None
    kind = _media_type(answer)
    if kind == "application/json" or kind.endswith("+json"):
        try:
            value: JSON = orjson.loads(answer.content)
        except orjson.JSONDecodeError:
            title = "The answer says that it is JSON and is not"
            error = standard("communication", title=title, status=502, instance=command.path)
            raise LeafFault(error) from None
        return value
    if not kind and (value := _json(answer.content)) is not None:
        return value
    if not kind or kind.startswith("text/") or any(part in kind for part in _TEXTS):
        try:
            return answer.content.decode(_charset(answer))
        except (UnicodeDecodeError, LookupError):
            pass
    return base64.b64encode(answer.content).decode()


def _charset(answer: Answer) -> str:
    parameters = str(answer.headers.get("Content-Type", "")).partition("charset=")[2]
    return parameters.partition(";")[0].strip().strip('"') or "utf-8"


def _response(request: Request, answer: Answer, command: RunLeaf) -> JSON:
    """The specification's HTTP response, without credentials; names of headers in lower case."""
    sent: JSON = {
        "method": request.method.lower(),
        "uri": str(request.url),
        "headers": _shown(request.headers),
    }
    return {
        "request": sent,
        "statusCode": answer.status,
        "headers": _shown(answer.headers),
        "content": _content(answer, command),
    }


def _shown(headers: Mapping[str, str]) -> dict[str, JSON]:
    """Headers with those that carry credentials blotted out."""
    shown = {name.lower(): value for name, value in headers.items()}
    return {name: REDACTED if _secret(name) else value for name, value in shown.items()}


def _secret(name: str) -> bool:
    return name != "idempotency-key" and any(part in name for part in _CREDENTIALS + _KEYS)
