"""Turn the response of an HTTP call into its output, or into an error of the language."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from coe.json_types import JSON, InexactNumber, NotJson, read_json
from coe.leaves.authentication import HttpExchange
from coe.leaves.leaf import LeafFault
from coe.leaves.transport import HttpRequest, HttpResponse
from coe.machine.errors import standard_error
from coe.machine.redaction import REDACTED, redacted

# Parts of the names of headers that carry credentials.
_CREDENTIALS: Final = ("authorization", "authenticate", "cookie", "token", "secret", "password")
_KEYS: Final = ("api-key", "apikey", "api_key", "auth-key", "access-key", "session", "signature")
_TEXTS: Final = ("xml", "yaml", "javascript", "graphql", "csv")


def call_output(
    exchange: HttpExchange, path: str, arguments: Mapping[str, JSON], secrets: tuple[str, ...]
) -> JSON:
    """The output of a call in the form that it names: `content` (the default), `raw`, `response`.

    Args:
        exchange: The request and its response.
        path: The task, for errors.
        arguments: Those of the call; `output` and `redirect` are read.
        secrets: Texts to remove, also from bytes that are returned in base64.

    Raises:
        LeafFault: `communication` with the response's status, unless it is 2xx (with
            `redirect`, also 3xx); with status 502 for JSON that cannot be read exactly.
    """
    response, removed = exchange.response, (*exchange.secrets, *secrets)
    error = _status_error(response, path, redirect=bool(arguments.get("redirect")))
    if error is not None:
        clean = redacted(error, removed)
        raise LeafFault(clean if isinstance(clean, dict) else error)
    match arguments.get("output"):
        case "raw":
            return _in_base64(response.content, removed)
        case "response":
            return redacted(_response(exchange.request, response, path, removed), removed)
        case _:
            return redacted(_content(response, path, removed), removed)


def _status_error(response: HttpResponse, path: str, *, redirect: bool) -> dict[str, JSON] | None:
    """The error for a status that means one, with the title of a problem document."""
    if 200 <= response.status < (400 if redirect else 300):  # noqa: PLR2004 - HTTP's own classes
        return None
    problem: JSON = None
    if _media_type(response) == "application/problem+json":
        with suppress(ValueError):
            problem = read_json(response.content)
    fields = problem if isinstance(problem, dict) else {}
    title = str(fields.get("title") or response.reason or "The service refused the call")
    detail = fields.get("detail")
    return standard_error(
        "communication",
        title=title,
        detail=None if detail is None else str(detail),
        status=response.status,
        instance=path,
    )


def _media_type(response: HttpResponse) -> str:
    return str(response.headers.get("Content-Type", "")).partition(";")[0].strip().lower()


def _content(response: HttpResponse, path: str, secrets: tuple[str, ...]) -> JSON:
    """The body by its media type: JSON as its value, text as text, other bytes in base64."""
    if not response.content:
        return None
    kind = _media_type(response)
    declared = kind == "application/json" or kind.endswith("+json")
    if declared or not kind:
        try:
            return read_json(response.content)
        except InexactNumber:
            title = "The response has a whole number of more than 64 bits, which would be rounded"
            raise _unusable(title, path) from None
        except NotJson as error:
            if declared:
                title = "The response is declared as JSON but is not valid JSON"
                raise _unusable(title, path, detail=str(error)) from None
    if not kind or kind.startswith("text/") or any(part in kind for part in _TEXTS):
        try:
            return response.content.decode(_charset(response))
        except (UnicodeDecodeError, LookupError):
            pass
    return _in_base64(response.content, secrets)


def _unusable(title: str, path: str, *, detail: str | None = None) -> LeafFault:
    """The error of a response that cannot be the output of a call."""
    error = standard_error("communication", title=title, detail=detail, status=502, instance=path)
    return LeafFault(error)


def _in_base64(content: bytes, secrets: tuple[str, ...]) -> str:
    """Bytes in base64; secrets are removed first, as they could not be found in base64."""
    for secret in secrets:
        content = content.replace(secret.encode(), REDACTED.encode())
    return base64.b64encode(content).decode()


def _charset(response: HttpResponse) -> str:
    parameters = str(response.headers.get("Content-Type", "")).partition("charset=")[2]
    return parameters.partition(";")[0].strip().strip('"') or "utf-8"


def _response(
    request: HttpRequest, response: HttpResponse, path: str, secrets: tuple[str, ...]
) -> JSON:
    """The HTTP response object of the specification, without credentials."""
    sent_request: JSON = {
        "method": request.method.lower(),
        "uri": str(request.url),
        "headers": _without_credentials(request.headers),
    }
    return {
        "request": sent_request,
        "statusCode": response.status,
        "headers": _without_credentials(response.headers),
        "content": _content(response, path, secrets),
    }


def _without_credentials(headers: Mapping[str, str]) -> dict[str, JSON]:
    """Headers with lower-case names, without the values of those that carry credentials."""
    lowered = {name.lower(): value for name, value in headers.items()}
    return {
        name: REDACTED if _carries_credentials(name) else value for name, value in lowered.items()
    }


def _carries_credentials(name: str) -> bool:
    return name != "idempotency-key" and any(part in name for part in _CREDENTIALS + _KEYS)
