"""The rules for the attributes and data of CloudEvents 1.0.2, both received and sent.

The rules are those of the specification (`cloudevents/spec.md`, `formats/json-format.md`). All
problems are reported together, each with its JSON pointer; none quotes a value.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import Final

import orjson

from coe.errors import Problem
from coe.formats import instants
from coe.json_types import JSON
from coe.language.json_schema.validator import has_format

INVALID_ATTRIBUTE: Final = "INPUT_EVENT_ATTRIBUTE"
INVALID_DATA: Final = "INPUT_EVENT_DATA"
INVALID_EVENT: Final = "INPUT_EVENT"

MAX_EVENT_BYTES: Final = 256 * 1024
"""Of one event in the JSON format."""
MAX_ATTRIBUTE_LENGTH: Final = 2048

_REQUIRED: Final = ("specversion", "id", "source", "type")
_TEXTS: Final = (*_REQUIRED, "subject", "time", "datacontenttype", "dataschema")
_NAME: Final = re.compile(r"[a-z0-9]{1,100}")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
_MEDIA: Final = re.compile(r"[\w!#$&^.+-]+/[\w!#$&^.+-]+(?:\s*;\s*[^;]+)*", re.ASCII)
_FLOW_SOURCE: Final = re.compile(r"/[a-z0-9-]{1,63}/[a-z0-9-]{1,63}/\d+\.\d+\.\d+[^/]*")
_SMALLEST, _GREATEST = -(2**31), 2**31 - 1


def without_nulls(event: Mapping[str, JSON]) -> dict[str, JSON]:
    """The event without attributes that are null: an absent attribute is written so too."""
    return {name: item for name, item in event.items() if item is not None or name == "data"}


def event_problems(event: Mapping[str, JSON], *, flow: str | None = None) -> Iterator[Problem]:
    """The problems of an event without null attributes.

    Args:
        event: The event in the JSON format.
        flow: The source that names the flow which sends it; no other flow's may be used.
    """
    if isinstance(event.get("specversion"), str) and event["specversion"] != "1.0":
        message = "only version 1.0 of CloudEvents is supported"
        yield Problem(INVALID_ATTRIBUTE, message, path="/specversion", help='"specversion": "1.0"')
    for name in _REQUIRED:
        if name not in event:
            yield Problem(INVALID_ATTRIBUTE, "the attribute is missing", path=f"/{name}")
    for name, value in event.items():
        if name not in {"data", "data_base64"}:
            fault = name_fault(name) or value_fault(name, value, flow=flow)
            if fault:
                yield Problem(INVALID_ATTRIBUTE, fault, path=f"/{in_pointer(name)}")
    yield from _data_problems(event)


def name_fault(name: str) -> str | None:
    """What is wrong with the name of an attribute."""
    if _NAME.fullmatch(name):
        return None
    return "the name of an attribute has 1 to 100 characters, of a-z and 0-9"


def value_fault(name: str, value: JSON, *, flow: str | None = None) -> str | None:
    """What is wrong with the value of an attribute; those of the specification are all text."""
    if name not in _TEXTS:
        return _extension_fault(value)
    if not isinstance(value, str):
        return "the attribute must be text"
    if not value:
        return "the attribute is empty"
    message = _character_fault(value)
    if message is None and name in _SYNTAX:
        is_valid, expected = _SYNTAX[name]
        if not is_valid(value):
            message = f"the attribute must be {expected}"
    if message is None and name == "source" and value != flow and _FLOW_SOURCE.fullmatch(value):
        message = "this source names a version of a flow: only its runs may use it"
    return message


def instant(value: str) -> datetime | None:
    """The time that a text gives; None if it gives none."""
    try:
        return instants.read(value)
    except ValueError:
        return None


def _is_time(value: str) -> bool:
    return instant(value) is not None


def _is_media_type(value: str) -> bool:
    return _MEDIA.fullmatch(value) is not None


_SYNTAX: Final[dict[str, tuple[Callable[[str], bool], str]]] = {
    "source": (
        partial(has_format, "uri-reference"),
        "a URI reference (RFC 3986), such as /shop or https://shop.example.com",
    ),
    "dataschema": (partial(has_format, "uri"), "an absolute URI (RFC 3986)"),
    "datacontenttype": (_is_media_type, "a media type, such as application/json"),
    "time": (_is_time, instants.WANTED),
}


def in_pointer(name: str) -> str:
    """A name in a JSON pointer; it is cut, as a sender may send names of any length."""
    return name[:100].replace("~", "~0").replace("/", "~1")


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


def _data_problems(event: Mapping[str, JSON]) -> Iterator[Problem]:
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
