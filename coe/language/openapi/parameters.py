"""Serialise values of OpenAPI parameters: the styles of 3.x, the collection formats of 2.0.

Sources: OpenAPI 3.0.4 and 3.1.1, "Style Values" and "Style Examples"; RFC 6570, whose operators
`;`, `.`, `?` and `,` the styles are; OpenAPI 2.0, "Parameter Object".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from coe.json_types import JSON, value_text

# The separators of an array's values that are not repeated, encoded for a URL.
SEPARATORS: Final = {
    "csv": ",",
    "ssv": "%20",
    "tsv": "%09",
    "pipes": "%7C",
    "spaceDelimited": "%20",
    "pipeDelimited": "%7C",
}
_RESERVED: Final = ":/?#[]@!$&'()*+,;="
# In a form, these would end a pair or stand for a space.
_RESERVED_IN_FORM: Final = ":/?[]@!$'()*,;"
_TRIPLET: Final = re.compile(r"%[0-9A-Fa-f]{2}")
_DOTS: Final = frozenset({".", ".."})


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of an operation, and how its value is serialised.

    `place` is path, query, header, cookie or form. `style` is one of 3.x, or a collection format of
    2.0 (`multi` is `form`, exploded). `media` is the media type of a parameter with `content`.
    """

    name: str
    place: str
    required: bool = False
    style: str = "form"
    explode: bool = True
    allow_reserved: bool = False
    media: str | None = None


def path_text(parameter: Parameter, value: JSON) -> str:
    """The text that replaces `{name}` in a path, encoded.

    Raises:
        ValueError: It is empty, `.` or `..`, which would address another resource.
    """
    text = _with_prefix(parameter, value)
    if text in _DOTS or not text:
        raise ValueError("an empty text, `.` or `..` in a path addresses another resource")
    return text


def query_pairs(parameter: Parameter, value: JSON) -> Iterator[str]:
    """The parts of a query, such as `name=value`, encoded; `&` joins them."""
    name = _encode(parameter.name, parameter)
    if parameter.media is not None:
        yield f"{name}={_encode(value_text(value), parameter)}"
    elif parameter.style == "deepObject" and isinstance(value, dict):
        for key, text in _deep(value):
            yield f"{_encode(parameter.name + key, parameter)}={_encode(text, parameter)}"
    elif isinstance(value, list):
        yield from _query_list(parameter, name, value)
    elif isinstance(value, dict) and parameter.explode:
        for key, item in value.items():
            if item is not None:
                yield f"{_encode(key, parameter)}={_encode(value_text(item), parameter)}"
    elif isinstance(value, dict):
        separator = SEPARATORS.get(parameter.style, ",")
        yield f"{name}=" + separator.join(_flat(value, parameter))
    else:
        yield f"{name}={_encode(value_text(value), parameter)}"


def header_text(parameter: Parameter, value: JSON) -> str:
    """The text of a header in style `simple` or of its media type; not encoded."""
    if parameter.media is not None:
        return value_text(value)
    if isinstance(value, list):
        separator = {"ssv": " ", "tsv": "\t", "pipes": "|"}.get(parameter.style, ",")
        return separator.join(value_text(item) for item in value if item is not None)
    if isinstance(value, dict):
        mark = "=" if parameter.explode else ","
        return ",".join(f"{key}{mark}{value_text(item)}" for key, item in value.items())
    return value_text(value)


def cookie_pairs(parameter: Parameter, value: JSON) -> Iterator[str]:
    """The cookies, such as `name=value`, encoded; `; ` joins them."""
    yield from query_pairs(parameter, value)


def _query_list(parameter: Parameter, name: str, value: list[JSON]) -> Iterator[str]:
    texts = [_encode(value_text(item), parameter) for item in value if item is not None]
    if parameter.explode:
        yield from (f"{name}={text}" for text in texts)
    elif texts:
        yield f"{name}=" + SEPARATORS.get(parameter.style, ",").join(texts)


def _with_prefix(parameter: Parameter, value: JSON) -> str:
    """A path's text: `simple` without a prefix, `label` with dots, `matrix` with `;` and names."""
    if parameter.media is not None:
        return _encode(value_text(value), parameter)
    if parameter.style == "matrix":
        return _matrix(parameter, value)
    mark = "." if parameter.style == "label" else ""
    joined = "." if mark and parameter.explode else SEPARATORS.get(parameter.style, ",")
    if isinstance(value, list):
        texts = [_encode(value_text(item), parameter) for item in value if item is not None]
    elif isinstance(value, dict) and parameter.explode:
        texts = list(_assigned(value, parameter))
    elif isinstance(value, dict):
        texts = list(_flat(value, parameter))
    else:
        texts = [_encode(value_text(value), parameter)]
    return mark + joined.join(texts) if texts and any(texts) else ""


def _matrix(parameter: Parameter, value: JSON) -> str:
    name = _encode(parameter.name, parameter)
    if isinstance(value, dict) and parameter.explode:
        return "".join(f";{pair}" for pair in _assigned(value, parameter))
    if isinstance(value, dict):
        return f";{name}=" + ",".join(_flat(value, parameter))
    if isinstance(value, list):
        texts = [_encode(value_text(item), parameter) for item in value if item is not None]
        if parameter.explode:
            return "".join(f";{name}={text}" for text in texts)
        return f";{name}=" + ",".join(texts) if texts else ""
    text = _encode(value_text(value), parameter)
    return f";{name}={text}" if text else f";{name}"


def _assigned(value: dict[str, JSON], parameter: Parameter) -> Iterator[str]:
    for key, item in value.items():
        if item is not None:
            yield f"{_encode(key, parameter)}={_encode(value_text(item), parameter)}"


def _flat(value: dict[str, JSON], parameter: Parameter) -> Iterator[str]:
    for key, item in value.items():
        if item is not None:
            yield _encode(key, parameter)
            yield _encode(value_text(item), parameter)


def _deep(value: dict[str, JSON]) -> Iterator[tuple[str, str]]:
    """`[key]` and its text; objects inside extend the key, arrays repeat it."""
    for key, item in value.items():
        for one in item if isinstance(item, list) else [item]:
            if isinstance(one, dict):
                yield from ((f"[{key}]{rest}", text) for rest, text in _deep(one))
            elif one is not None:
                yield f"[{key}]", value_text(one)


def _encode(text: str, parameter: Parameter) -> str:
    """Percent-encoded text, except for what `allowReserved` allows (RFC 6570, 3.2.3)."""
    if not parameter.allow_reserved:
        return quote(text, safe="")
    kept = _TRIPLET.findall(text)
    reserved = _RESERVED_IN_FORM if parameter.place == "form" else _RESERVED
    rest = [quote(part, safe=reserved) for part in _TRIPLET.split(text)]
    return rest[0] + "".join(a + b for a, b in zip(kept, rest[1:], strict=True))
