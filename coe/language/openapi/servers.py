"""The servers of an operation as absolute URLs, the preferred one first."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

from coe.json_types import JSON
from coe.language.openapi.references import OpenApiError, dereference, items_of, text_items

_VARIABLE: Final = re.compile(r"\{([^{}]*)\}")


def servers_2(document: dict[str, Any], url: str, operation: dict[str, Any]) -> Iterator[str]:
    """The servers of an operation of OpenAPI 2.0; by default the document's own URL."""
    here = urlsplit(url)
    schemes = text_items(operation.get("schemes", document.get("schemes"))) or [here.scheme]
    host = str(document.get("host") or here.netloc)
    base = str(document.get("basePath") or "")
    for scheme in sorted(schemes, key=lambda each: each != "https"):
        if scheme in {"http", "https"} and host:
            yield f"{scheme}://{host}/{base.lstrip('/')}"


def servers_3(
    document: dict[str, Any], url: str, item: dict[str, Any], operation: dict[str, Any]
) -> Iterator[str]:
    """The servers of the operation, else of its path, of the document, or the document's URL."""
    holders = (operation, item, document)
    fallback: list[JSON] = [{"url": "/"}]
    servers: JSON = next((each["servers"] for each in holders if each.get("servers")), fallback)
    for server in items_of(servers):
        one = dereference(document, server)
        variables = dereference(document, one.get("variables"))
        address = urljoin(url, _with_variables(one, variables))
        if urlsplit(address).scheme in {"http", "https"} and urlsplit(address).netloc:
            yield address


def _with_variables(server: dict[str, Any], variables: Mapping[str, Any]) -> str:
    """A server's URL with the default of each of its variables.

    Raises:
        OpenApiError: A variable has no default.
    """

    def default(match: re.Match[str]) -> str:
        one = variables.get(match[1])
        if not isinstance(one, dict) or "default" not in one:
            raise OpenApiError(f"the variable `{match[1]}` of a server has no default")
        return str(one["default"])

    return _VARIABLE.sub(default, str(server.get("url") or "/"))
