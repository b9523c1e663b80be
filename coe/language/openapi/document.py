"""OpenAPI documents of 2.0 (Swagger), 3.0 and 3.1: find an operation by its id, and how to call it.

A document is read as far as a call needs it, and is not validated. An error that makes a call
impossible is a `OpenApiError`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from coe.json_types import JSON
from coe.language.openapi.encoding import (
    MULTIPART,
    URLENCODED,
    PropertyEncoding,
    read_encodings,
)
from coe.language.openapi.parameters import Parameter
from coe.language.openapi.references import OpenApiError, dereference, items_of, text_items
from coe.language.openapi.servers import servers_2, servers_3

OPERATION_METHODS: Final = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_MAX_SUGGESTED: Final = 5000
_FORMS: Final = (URLENCODED, MULTIPART)
_STYLES: Final = {"path": "simple", "query": "form", "header": "simple", "cookie": "form"}


@dataclass(frozen=True, slots=True)
class RequestBody:
    """The body of an operation: its media types in order of preference.

    `name` is its name in a document of 2.0, else "body". `properties` are the names of the
    properties of an object: a call may give them one by one. `joined` has the separator of each
    form field whose list is joined instead of repeated; `encodings` say how properties of a form
    are written.
    """

    name: str
    required: bool
    kinds: tuple[str, ...]
    properties: frozenset[str] = frozenset()
    needed: frozenset[str] = frozenset()
    joined: Mapping[str, str] = field(default_factory=dict)
    encodings: Mapping[str, PropertyEncoding] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Operation:
    """How an operation is called. `servers` are absolute URLs, the preferred one first."""

    id: str
    method: str
    path: str
    parameters: tuple[Parameter, ...]
    keys: tuple[Parameter, ...]
    body: RequestBody | None
    servers: tuple[str, ...]
    accepts: tuple[str, ...]


class OpenApiDocument:
    """A document and its URL. Operations are read when they are looked up."""

    def __init__(self, data: JSON, url: str = "") -> None:
        """Take the document as data.

        Raises:
            OpenApiError: It is not an OpenAPI document of a supported version.
        """
        if not isinstance(data, dict):
            raise OpenApiError("it is not an object")
        self._data: Final[dict[str, Any]] = data
        self._url: Final = url
        version = str(data.get("swagger") or data.get("openapi") or "")
        self.version: Final = ".".join(version.split(".")[:2])
        if self.version not in {"2.0", "3.0", "3.1"}:
            raise OpenApiError(
                f"it is of OpenAPI {version}; supported are 2.0, 3.0 and 3.1"
                if version
                else "it does not name its version of OpenAPI"
            )
        self._places: Final = self._find()

    def operation(self, name: str) -> Operation:
        """How to call an operation.

        Raises:
            OpenApiError: There is no such operation, or several, or it is not valid.
        """
        places = self._places.get(name, [])
        if not places:
            known = list(self._places)[:_MAX_SUGGESTED]
            close = difflib.get_close_matches(name, known, n=1)
            guess = f", did you mean `{close[0]}`?" if close else ""
            raise OpenApiError(f"it has no operation `{name}`{guess}")
        if len(places) > 1:
            where = " and ".join(f"{method.upper()} {path}" for method, path in places)
            raise OpenApiError(f"it has several operations `{name}`: {where}")
        [(method, path)] = places
        item = self._object(self._object(self._data.get("paths")).get(path))
        given = self._object(item.get(method))
        parameters = list(self._parameters(item, given))
        plain = [self._parameter(each) for each in parameters if each.get("in") in _STYLES]
        two = self.version == "2.0"
        return Operation(
            id=name,
            method=method.upper(),
            path=path,
            parameters=tuple(plain),
            keys=tuple(self._keys(given)),
            body=self._body_2(given, parameters) if two else self._body_3(given),
            servers=tuple(
                servers_2(self._data, self._url, given)
                if two
                else servers_3(self._data, self._url, item, given)
            ),
            accepts=tuple(self._accepts(given)),
        )

    def _find(self) -> dict[str, list[tuple[str, str]]]:
        """Every operation's method and path, by its id."""
        found: dict[str, list[tuple[str, str]]] = {}
        for path, given in self._object(self._data.get("paths")).items():
            item = self._object(given)
            for method in OPERATION_METHODS:
                operation = item.get(method)
                if isinstance(operation, dict) and "operationId" in operation:
                    found.setdefault(str(operation["operationId"]), []).append((method, path))
        return found

    def _object(self, node: JSON) -> dict[str, Any]:
        return dereference(self._data, node)

    # ------------------------------------------------------------ parameters
    def _parameters(self, item: dict[str, Any], given: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Those of the path and of the operation; the operation's replace the path's."""
        found: dict[tuple[str, str], dict[str, Any]] = {}
        for holder in (item, given):
            for each in items_of(holder.get("parameters")):
                one = self._object(each)
                found[str(one.get("name")), str(one.get("in"))] = one
        yield from found.values()

    def _parameter(self, given: dict[str, Any]) -> Parameter:
        name, place = str(given.get("name")), str(given.get("in"))
        required = place == "path" or given.get("required") is True
        if self.version == "2.0":
            style = str(given.get("collectionFormat", "csv"))
            multi = style == "multi"
            return Parameter(name, place, required, "form" if multi else style, explode=multi)
        style = str(given.get("style") or _STYLES[place])
        content = given.get("content")
        # Parameters of these names are ignored (3.x, Parameter Object), so they are not required.
        ignored = place == "header" and name.lower() in {"accept", "content-type", "authorization"}
        return Parameter(
            name,
            place,
            required and not ignored,
            style,
            explode=bool(given.get("explode", style == "form")),
            allow_reserved=place == "query" and given.get("allowReserved") is True,
            media=next(iter(content)) if isinstance(content, dict) and content else None,
        )

    def _keys(self, given: dict[str, Any]) -> Iterator[Parameter]:
        """The API keys of the operation, which the language's authentication does not cover."""
        holder = self._data if self.version == "2.0" else self._object(self._data.get("components"))
        name = "securityDefinitions" if self.version == "2.0" else "securitySchemes"
        schemes = self._object(holder.get(name))
        wanted = given.get("security", self._data.get("security"))
        for scheme in {key for each in items_of(wanted) for key in self._object(each)}:
            one = self._object(schemes.get(scheme))
            if one.get("type") == "apiKey" and one.get("in") in _STYLES:
                yield Parameter(str(one.get("name")), str(one["in"]))

    # ------------------------------------------------------------ bodies
    def _body_2(
        self, given: dict[str, Any], parameters: Iterable[dict[str, Any]]
    ) -> RequestBody | None:
        consumes = text_items(given.get("consumes", self._data.get("consumes")))
        fields = [each for each in parameters if each.get("in") == "formData"]
        if fields:
            files = any(each.get("type") == "file" for each in fields)
            kinds = [each for each in consumes if each in _FORMS] or [_FORMS[files]]
            formats = {str(each.get("name")): each.get("collectionFormat") for each in fields}
            needed = {str(each.get("name")) for each in fields if each.get("required") is True}
            return RequestBody(
                "body",
                required=bool(needed),
                kinds=tuple(kinds),
                properties=frozenset(formats),
                needed=frozenset(needed),
                joined={
                    str(each.get("name")): {"ssv": " ", "tsv": "\t", "pipes": "|"}.get(
                        str(each.get("collectionFormat")), ","
                    )
                    for each in fields
                    if each.get("type") == "array" and each.get("collectionFormat") != "multi"
                },
            )
        for each in parameters:
            if each.get("in") == "body":
                kinds = _preferred(consumes) or ["application/json"]
                schema = self._object(each.get("schema"))
                return RequestBody(
                    str(each.get("name") or "body"),
                    required=each.get("required") is True,
                    kinds=tuple(kinds),
                    properties=self._properties(schema),
                )
        return None

    def _body_3(self, given: dict[str, Any]) -> RequestBody | None:
        if "requestBody" not in given:
            return None
        body = self._object(given["requestBody"])
        content = self._object(body.get("content"))
        kinds = _preferred(content) or ["application/json"]
        media = self._object(content.get(kinds[0]))
        schema = self._object(media.get("schema"))
        return RequestBody(
            "body",
            required=body.get("required") is True,
            kinds=tuple(kinds),
            properties=self._properties(schema),
            encodings=read_encodings(media, kinds[0], self.version, self._object),
        )

    def _properties(self, schema: dict[str, Any]) -> frozenset[str]:
        """The names of an object's properties, including those of `allOf`."""
        names: set[str] = set()
        seen: set[int] = set()
        waiting = [schema]
        while waiting:
            part = waiting.pop()
            names |= self._object(part.get("properties")).keys()
            for each in items_of(part.get("allOf")):
                if id(each) not in seen:
                    seen.add(id(each))
                    waiting.append(self._object(each))
        return frozenset(names)

    def _accepts(self, given: dict[str, Any]) -> Iterator[str]:
        if self.version == "2.0":
            yield from _preferred(text_items(given.get("produces", self._data.get("produces"))))
            return
        found: dict[str, None] = {}
        for status, response in self._object(given.get("responses")).items():
            if status.startswith("2") or status == "default":
                found |= dict.fromkeys(self._object(self._object(response).get("content")))
        yield from _preferred(found)


def _preferred(kinds: Iterable[str]) -> list[str]:
    """Media types in order of preference: JSON, forms, text, then the others."""

    def rank(kind: str) -> int:
        plain = kind.partition(";")[0].strip().lower()
        if plain == "application/json":
            return 0
        if plain.endswith("+json"):
            return 1
        if plain in _FORMS:
            return 2 + _FORMS.index(plain)
        return 4 if plain.startswith("text/") else 5

    return sorted(kinds, key=rank)
