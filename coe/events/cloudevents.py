"""Read CloudEvents 1.0.2: the JSON format, and the binary mode of the HTTP binding.

The rules are those of `bindings/http-protocol-binding.md` and of `coe.language.event_attributes`;
the validation of the SDK runs last. All problems are reported together, each located; none quotes a
value.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from cloudevents.core.exceptions import CloudEventValidationError
from cloudevents.core.v1.event import CloudEvent

from coe.errors import Invalid, Problem
from coe.json_types import JSON, NotJson, read_json
from coe.language.event_attributes import (
    INVALID_ATTRIBUTE,
    INVALID_DATA,
    INVALID_EVENT,
    event_problems,
    in_pointer,
    instant,
    without_nulls,
)
from coe.runs.event_payload import Event

HEADER_PREFIX: Final = "ce-"

_JSON: Final = re.compile(r"[^/]+/(?:[^/;]+\+)?json", re.IGNORECASE)
_TEXT: Final = re.compile(r"text/.+|[^/]+/(?:[^/;]+\+)?(?:xml|yaml)", re.IGNORECASE)


def read_event(value: JSON, *, path: str = "") -> Event:
    """Read an event from its JSON form, without attributes that are null.

    Args:
        value: The JSON value.
        path: The JSON pointer of the event, which begins the path of each problem.

    Raises:
        Invalid: All problems of the event.
    """
    if not isinstance(value, dict):
        raise Invalid([Problem(INVALID_EVENT, "an event is one JSON object", path=path)])
    event = without_nulls(value)
    problems = list(event_problems(event))
    if not problems:
        problems += _sdk_problems(event)
    if problems:
        raise Invalid([_located_below(path, problem) for problem in problems])
    return event


def read_events(values: JSON) -> list[Event]:
    """Read events from their JSON batch form (`application/cloudevents-batch+json`).

    Raises:
        Invalid: All problems of all events.
    """
    if not isinstance(values, list):
        raise Invalid([Problem(INVALID_EVENT, "a batch is one JSON array of events", path="")])
    events: list[Event] = []
    problems: list[Problem] = []
    for index, value in enumerate(values):
        try:
            events.append(read_event(value, path=f"/{index}"))
        except Invalid as refused:
            problems += refused.problems
    if problems:
        raise Invalid(problems)
    return events


def read_binary(headers: Iterable[tuple[str, str]], body: bytes) -> Event:
    """Read an event from a request in binary mode: `ce-` headers are attributes, the body is data.

    Args:
        headers: Names in lower case, and values as sent (the bytes as Latin-1 text).
        body: The data, of the type in the `content-type` header.

    Raises:
        Invalid: All problems of the event; a problem of a header has the path of its attribute.
    """
    value: dict[str, JSON] = {}
    problems: list[Problem] = []
    content_type: str | None = None
    for name, text in headers:
        if name == "content-type":
            content_type = text
        elif name.startswith(HEADER_PREFIX):
            problems += _add_header(value, name.removeprefix(HEADER_PREFIX), text)
    if content_type is not None:
        value["datacontenttype"] = content_type
    problems += _add_body(value, content_type, body)
    if problems:
        raise Invalid(problems)
    return read_event(value)


# ---------------------------------------------------------------- binary mode


def _add_header(value: dict[str, JSON], name: str, text: str) -> Iterator[Problem]:
    path = f"/{name}"
    if name in value:
        yield Problem(INVALID_ATTRIBUTE, "the header is repeated", path=path)
    elif name in {"datacontenttype", "data", "data_base64"}:
        yield Problem(
            INVALID_ATTRIBUTE, "not an attribute in binary mode: the body is the data", path=path
        )
    else:
        try:
            value[name] = _decoded(text)
        except UnicodeDecodeError:
            yield Problem(INVALID_ATTRIBUTE, "the value is not percent-encoded UTF-8", path=path)


def _decoded(text: str) -> str:
    """Decode the value of a header (section 3.1.3.2 of the binding): quotes, escapes, percent."""
    if len(text) > 1 and text.startswith('"') and text.endswith('"'):
        text = re.sub(r"\\(.)", r"\1", text[1:-1])
    return unquote_to_bytes(text.encode("latin-1")).decode()


def _add_body(value: dict[str, JSON], content_type: str | None, body: bytes) -> Iterator[Problem]:
    if not body:
        return
    media, _, parameters = (content_type or "").partition(";")
    if _JSON.fullmatch(media.strip()):
        try:
            value["data"] = read_json(body)
        except NotJson as error:
            yield Problem(INVALID_DATA, f"the body cannot be read: {error}", path="/data")
        return
    if _TEXT.fullmatch(media.strip()) and _is_utf8(parameters):
        try:
            value["data"] = body.decode()
        except UnicodeDecodeError:
            value["data_base64"] = base64.b64encode(body).decode()
    else:
        value["data_base64"] = base64.b64encode(body).decode()


def _is_utf8(parameters: str) -> bool:
    found = re.search(r"charset\s*=\s*\"?([^\";\s]+)", parameters, re.IGNORECASE)
    return found is None or found[1].lower() in {"utf-8", "us-ascii"}


# ---------------------------------------------------------------- the SDK


def _sdk_problems(event: Mapping[str, JSON]) -> list[Problem]:
    """The problems that the CloudEvents SDK finds; it would fill in a missing time."""
    attributes: dict[str, Any] = {
        name: value for name, value in event.items() if name not in {"data", "data_base64"}
    }
    given = attributes.get("time")
    time = instant(given) if isinstance(given, str) else _DEFAULT_TIME
    try:
        CloudEvent(attributes | {"time": time})
    except CloudEventValidationError as refused:
        return [
            Problem(INVALID_ATTRIBUTE, str(error), path=f"/{in_pointer(name)}")
            for name, errors in refused.errors.items()
            for error in errors
        ]
    return []


_DEFAULT_TIME: Final = datetime(2026, 1, 1, tzinfo=UTC)


def _located_below(path: str, problem: Problem) -> Problem:
    return Problem(
        problem.code, problem.message, path=path + (problem.path or ""), help=problem.help
    )
