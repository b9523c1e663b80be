"""Read CloudEvents 1.0.2: the JSON format, and the binary mode of the HTTP binding.

The rules are those of the specification (`cloudevents/spec.md`, `formats/json-format.md`,
`bindings/http-protocol-binding.md`); the validation of the SDK runs last. All problems are reported
together, each located; none quotes a value.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import unquote_to_bytes

import orjson
from cloudevents.core.exceptions import CloudEventValidationError
from cloudevents.core.v1.event import CloudEvent

from coe.errors import Invalid, Problem
from coe.json_types import JSON, InexactNumber, read_json
from coe.runs.event_payload import Event

INVALID_ATTRIBUTE: Final = "INPUT_EVENT_ATTRIBUTE"
INVALID_DATA: Final = "INPUT_EVENT_DATA"
INVALID_EVENT: Final = "INPUT_EVENT"

MAX_EVENT_BYTES: Final = 256 * 1024
"""Of one event in the JSON format."""
MAX_ATTRIBUTE_LENGTH: Final = 2048
HEADER_PREFIX: Final = "ce-"

_REQUIRED: Final = ("specversion", "id", "source", "type")
_TEXTS: Final = (*_REQUIRED, "subject", "time", "datacontenttype", "dataschema")
_NAME: Final = re.compile(r"[a-z0-9]{1,100}")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
_URI: Final = re.compile(r"[^\s<>\"{}|\\^`]+")
_ABSOLUTE: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s<>\"{}|\\^`]+")
_MEDIA: Final = re.compile(r"[\w!#$&^.+-]+/[\w!#$&^.+-]+(?:\s*;\s*[^;]+)*", re.ASCII)
_JSON: Final = re.compile(r"[^/]+/(?:[^/;]+\+)?json", re.IGNORECASE)
_TEXT: Final = re.compile(r"text/.+|[^/]+/(?:[^/;]+\+)?(?:xml|yaml)", re.IGNORECASE)
_TIME: Final = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII
)
_FLOW_SOURCE: Final = re.compile(r"/[a-z0-9-]{1,63}/[a-z0-9-]{1,63}/\d+\.\d+\.\d+[^/]*")
_SMALLEST, _GREATEST = -(2**31), 2**31 - 1


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
    event = {name: item for name, item in value.items() if item is not None or name == "data"}
    problems = [*_attributes(event), *_data(event)]
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
        except InexactNumber as error:
            yield Problem(INVALID_DATA, str(error), path="/data")
        except ValueError:
            yield Problem(INVALID_DATA, "the body is not valid JSON", path="/data")
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


# ---------------------------------------------------------------- attributes and data


def _attributes(event: Mapping[str, JSON]) -> Iterator[Problem]:
    if isinstance(event.get("specversion"), str) and event["specversion"] != "1.0":
        message = "only version 1.0 of CloudEvents is supported"
        yield Problem(INVALID_ATTRIBUTE, message, path="/specversion", help='"specversion": "1.0"')
    for name in _REQUIRED:
        if name not in event:
            yield Problem(INVALID_ATTRIBUTE, "the attribute is missing", path=f"/{name}")
    for name, value in event.items():
        if name in {"data", "data_base64"}:
            continue
        fault = _name_fault(name) or (
            _text_fault(name, value) if name in _TEXTS else _extension_fault(value)
        )
        if fault:
            yield Problem(INVALID_ATTRIBUTE, fault, path=f"/{_escaped(name)}")


def _name_fault(name: str) -> str | None:
    if _NAME.fullmatch(name):
        return None
    return "the name of an attribute has 1 to 100 characters, of a-z and 0-9"


def _text_fault(name: str, value: JSON) -> str | None:
    """What is wrong with an attribute that the specification defines, all of which are text."""
    if not isinstance(value, str):
        return "the attribute must be text"
    if not value:
        return "the attribute is empty"
    message = _character_fault(value)
    if message is None and name in _SYNTAX:
        pattern, expected = _SYNTAX[name]
        if not pattern.fullmatch(value) or (name == "time" and _instant(value) is None):
            message = f"the attribute must be {expected}"
    if message is None and name == "source" and _FLOW_SOURCE.fullmatch(value):
        message = "this source names a version of a flow: only its runs may use it"
    return message


def _extension_fault(value: JSON) -> str | None:
    if isinstance(value, str):
        return _character_fault(value)
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        fits = _SMALLEST <= value <= _GREATEST
        return None if fits else "a number of an attribute has at most 32 bits; send it as text"
    return "an attribute is text, true, false or a whole number"


def _character_fault(value: str) -> str | None:
    if len(value) > MAX_ATTRIBUTE_LENGTH:
        return f"an attribute has at most {MAX_ATTRIBUTE_LENGTH} characters"
    return "the attribute contains control characters" if _CONTROL.search(value) else None


_SYNTAX: Final[dict[str, tuple[re.Pattern[str], str]]] = {
    "source": (_URI, "a URI reference, such as /shop or https://shop.example.com"),
    "dataschema": (_ABSOLUTE, "an absolute URI"),
    "datacontenttype": (_MEDIA, "a media type, such as application/json"),
    "time": (_TIME, "a time of RFC 3339, such as 2026-03-01T08:00:00Z"),
}


def _data(event: Mapping[str, JSON]) -> Iterator[Problem]:
    if "data" in event and "data_base64" in event:
        yield Problem(
            INVALID_DATA, "an event has `data` or `data_base64`, not both", path="/data_base64"
        )
    elif "data_base64" in event and _bytes(event["data_base64"]) is None:
        yield Problem(INVALID_DATA, "this is not base64 (RFC 4648, section 4)", path="/data_base64")
    try:
        size = len(orjson.dumps(event))
    except orjson.JSONEncodeError:
        yield Problem(INVALID_EVENT, "the event is not valid JSON", path="")
        return
    if size > MAX_EVENT_BYTES:
        message = (
            f"the event has more than {MAX_EVENT_BYTES} bytes: send a link to its data instead"
        )
        yield Problem(INVALID_EVENT, message, path="")


def _bytes(value: JSON) -> bytes | None:
    if not isinstance(value, str):
        return None
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return None


def _instant(value: str) -> datetime | None:
    try:
        return datetime.fromisoformat(value.upper())
    except ValueError:
        return None


def _sdk_problems(event: Mapping[str, JSON]) -> list[Problem]:
    """The problems that the CloudEvents SDK finds; it would fill in a missing time."""
    attributes: dict[str, Any] = {
        name: value for name, value in event.items() if name not in {"data", "data_base64"}
    }
    given = attributes.get("time")
    time = _instant(given) if isinstance(given, str) else datetime.fromisoformat(_DEFAULT_TIME)
    try:
        CloudEvent(attributes | {"time": time})
    except CloudEventValidationError as refused:
        return [
            Problem(INVALID_ATTRIBUTE, str(error), path=f"/{_escaped(name)}")
            for name, errors in refused.errors.items()
            for error in errors
        ]
    return []


_DEFAULT_TIME: Final = "2026-01-01T00:00:00+00:00"


def _escaped(name: str) -> str:
    """A name in a JSON pointer; it is cut, as a sender may send names of any length."""
    return name[:100].replace("~", "~0").replace("/", "~1")


def _located_below(path: str, problem: Problem) -> Problem:
    return Problem(
        problem.code, problem.message, path=path + (problem.path or ""), help=problem.help
    )
