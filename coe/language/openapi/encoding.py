"""How the properties of a form are written: the Encoding Object of OpenAPI 3.x.

Source: OpenAPI 3.0.4 and 3.1.1, "Encoding Object". An explicit `style`, `explode` or
`allowReserved` serialises a property as a query parameter and overrules `contentType`; in a
multipart form of 3.0 these three are ignored. An encoding applies to each item of a list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from coe.json_types import JSON, value_text
from coe.language.openapi.parameters import Parameter
from coe.language.openapi.references import OpenApiError

URLENCODED: Final = "application/x-www-form-urlencoded"
MULTIPART: Final = "multipart/form-data"
_STYLED: Final = ("style", "explode", "allowReserved")
_STYLES: Final = ("form", "spaceDelimited", "pipeDelimited", "deepObject")
# What a media type with a wildcard is sent as.
_WILDCARDS: Final = {"text/*": "text/plain", "application/*": "application/json"}


@dataclass(frozen=True, slots=True)
class PropertyEncoding:
    """How one property is written: by its media type, or as a query parameter (`styled`).

    `headers` are those of its part in a multipart form.
    """

    kind: str | None = None
    styled: Parameter | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def read_encodings(
    media: Mapping[str, Any],
    kind: str,
    version: str,
    resolve: Callable[[JSON], dict[str, Any]],
) -> dict[str, PropertyEncoding]:
    """The encodings of a Media Type Object, by the name of the property.

    Args:
        media: The Media Type Object.
        kind: Its media type; only forms have encodings.
        version: That of OpenAPI: "3.0" or "3.1".
        resolve: Gives the object that a node is or refers to.

    Raises:
        OpenApiError: A style is unknown, or a part needs a header that has no fixed value.
    """
    plain = kind.partition(";")[0].strip().lower()
    if plain not in {URLENCODED, MULTIPART}:
        return {}
    form = plain == URLENCODED
    return {
        name: PropertyEncoding(
            kind=_kind(given.get("contentType")),
            styled=_styled(name, given) if form or version != "3.0" else None,
            headers={} if form else dict(_headers(name, given, resolve)),
        )
        for name, node in resolve(media.get("encoding")).items()
        for given in (resolve(node),)
    }


def _kind(given: JSON) -> str | None:
    """The media type to send: the first of a list that is no range, else one of the range."""
    if not isinstance(given, str):
        return None
    kinds = [each.strip() for each in given.split(",") if each.strip()]
    exact = [each for each in kinds if "*" not in each]
    if exact or not kinds:
        return exact[0] if exact else None
    return _WILDCARDS.get(kinds[0].lower(), "application/octet-stream")


def _styled(name: str, given: Mapping[str, Any]) -> Parameter | None:
    if not any(each in given for each in _STYLED):
        return None
    style = str(given.get("style", "form"))
    if style not in _STYLES:
        raise OpenApiError(f"the encoding of `{name}` has the unknown style `{style}`")
    explode = bool(given.get("explode", style == "form"))
    reserved = given.get("allowReserved") is True
    return Parameter(name, "form", style=style, explode=explode, allow_reserved=reserved)


def _headers(
    name: str, given: Mapping[str, Any], resolve: Callable[[JSON], dict[str, Any]]
) -> Iterator[tuple[str, str]]:
    """The headers of a part that have one possible value; a call cannot give others."""
    for header, node in resolve(given.get("headers")).items():
        one = resolve(node)
        schema = resolve(one.get("schema"))
        allowed = schema.get("enum")
        if header.lower() in {"content-type", "content-disposition"}:
            continue
        if "const" in schema or "default" in schema:
            yield header, value_text(schema.get("const", schema.get("default")))
        elif isinstance(allowed, list) and len(allowed) == 1:
            yield header, value_text(allowed[0])
        elif one.get("required") is True:
            message = f"the part `{name}` needs the header `{header}`, which has no fixed value"
            raise OpenApiError(message)
