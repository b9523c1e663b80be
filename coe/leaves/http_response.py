"""What an HTTP call gives: an error of the language, or its output in the form that it asks for."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Final

import orjson

from coe.json_types import JSON
from coe.leaves.authentication import Sent
from coe.leaves.leaf import LeafFault
from coe.leaves.transport import Answer, Request
from coe.machine.errors import standard
from coe.machine.redaction import REDACTED, redacted

# Headers that carry credentials, by their names or a part of them.
_CREDENTIALS: Final = ("authorization", "authenticate", "cookie", "token", "secret", "password")
_KEYS: Final = ("api-key", "apikey", "api_key", "auth-key", "access-key", "session", "signature")
_TEXTS: Final = ("xml", "yaml", "javascript", "graphql", "csv")


def output_of_call(
    sent: Sent, path: str, arguments: Mapping[str, JSON], secrets: tuple[str, ...]
) -> JSON:
    """What the call's `output` asks for: `content` (the default), `raw` or `response`.

    Args:
        sent: The request and its answer.
        path: The task, for errors.
        arguments: Those of the call; `output` and `redirect` count.
        secrets: Texts to blot out, also where bytes come in base64.

    Raises:
        LeafFault: `communication` with the answer's status, unless it is 2xx (or, with `redirect`,
            3xx).
    """
    answer, blotted = sent.answer, (*sent.secrets, *secrets)
    refusal = _refusal(answer, path, redirect=bool(arguments.get("redirect")))
    if refusal is not None:
        clean = redacted(refusal, blotted)
        raise LeafFault(clean if isinstance(clean, dict) else refusal)
    match arguments.get("output"):
        case "raw":
            return _in_base64(answer.content, blotted)
        case "response":
            return redacted(_response(sent.request, answer, path, blotted), blotted)
        case _:
            return redacted(_content(answer, path, blotted), blotted)


def _refusal(answer: Answer, path: str, *, redirect: bool) -> dict[str, JSON] | None:
    """The error for a status that is one."""
    if 200 <= answer.status < (400 if redirect else 300):  # noqa: PLR2004 - HTTP's own classes
        return None
    problem: JSON = None
    if _media_type(answer) == "application/problem+json":
        problem = _json(answer.content)
    told = problem if isinstance(problem, dict) else {}
    title = str(told.get("title") or answer.reason or "The service refused the call")
    detail = told.get("detail")
    return standard(
        "communication",
        title=title,
        detail=None if detail is None else str(detail),
        status=answer.status,
        instance=path,
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


def _content(answer: Answer, path: str, secrets: tuple[str, ...]) -> JSON:
    """The body, decoded by its type: JSON as its value, text as text, other bytes in base64."""
    if not answer.content:
        return None
    kind = _media_type(answer)
    if kind == "application/json" or kind.endswith("+json"):
        try:
            value: JSON = orjson.loads(answer.content)
        except orjson.JSONDecodeError:
            title = "The answer says that it is JSON and is not"
            error = standard("communication", title=title, status=502, instance=path)
            raise LeafFault(error) from None
        return value
    if not kind and (value := _json(answer.content)) is not None:
        return value
    if not kind or kind.startswith("text/") or any(part in kind for part in _TEXTS):
        try:
            return answer.content.decode(_charset(answer))
        except (UnicodeDecodeError, LookupError):
            pass
    return _in_base64(answer.content, secrets)


def _in_base64(content: bytes, secrets: tuple[str, ...]) -> str:
    """Bytes in base64, in which a secret that the service echoed could not be found any more."""
    for secret in secrets:
        content = content.replace(secret.encode(), REDACTED.encode())
    return base64.b64encode(content).decode()


def _charset(answer: Answer) -> str:
    parameters = str(answer.headers.get("Content-Type", "")).partition("charset=")[2]
    return parameters.partition(";")[0].strip().strip('"') or "utf-8"


def _response(request: Request, answer: Answer, path: str, secrets: tuple[str, ...]) -> JSON:
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
        "content": _content(answer, path, secrets),
    }


def _shown(headers: Mapping[str, str]) -> dict[str, JSON]:
    """Headers with those that carry credentials blotted out."""
    shown = {name.lower(): value for name, value in headers.items()}
    return {name: REDACTED if _secret(name) else value for name, value in shown.items()}


def _secret(name: str) -> bool:
    return name != "idempotency-key" and any(part in name for part in _CREDENTIALS + _KEYS)
