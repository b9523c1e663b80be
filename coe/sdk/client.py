"""The client of the platform's GraphQL API; errors are raised as the classes of `coe.errors`."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlsplit

import httpx

from coe.errors import (
    CoeError,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    Problem,
    Severity,
    TooCostly,
    Unauthenticated,
    Unavailable,
)
from coe.tls import client_context, why_unreached

_BY_CODE: Final[Mapping[str, type[CoeError]]] = {
    kind.code: kind
    for kind in (Unauthenticated, Forbidden, NotFound, Conflict, TooCostly, Unavailable)
}


class Client:
    """A client of the platform's GraphQL API.

    Args:
        url: The platform's address, such as `https://coe.example.com`.
        token: A bearer token.
        patience: The seconds for which to retry while the platform is not available. A mutation
            may then be sent twice, so give it a `clientMutationId`.
        ca_file: Certificates (PEM) of authorities to trust beside the public ones.
        transport: The transport of a test, instead of the network.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        patience: float = 0.0,
        ca_file: Path | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Prepare the client; the first call connects."""
        self._patience = patience
        own_machine = urlsplit(url).hostname in {"127.0.0.1", "localhost", "::1"}
        self._http = httpx.AsyncClient(
            base_url=url.rstrip("/"),
            headers={"Authorization": f"Bearer {token}"},
            timeout=httpx.Timeout(30.0, connect=5.0),
            trust_env=not own_machine,
            verify=client_context(ca_file, environment=not own_machine),
            transport=transport,
        )

    async def __aenter__(self) -> Self:
        """Open the client."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close its connections."""
        await self._http.aclose()

    async def execute(
        self, query: str, variables: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Execute one GraphQL operation and return its data.

        Raises:
            CoeError: The first error of the response, as the class of its code.
            Unavailable: The platform was not reached within `patience`.
        """
        deadline = time.monotonic() + self._patience
        attempt = 0
        while True:
            try:
                return await self._execute(query, variables or {})
            except Unavailable:
                attempt += 1
                pause = min(10.0, 0.2 * 2**attempt) * random.uniform(0.5, 1.0)  # noqa: S311  # spreads callers
                if time.monotonic() + pause > deadline:
                    raise
                await asyncio.sleep(pause)

    async def _execute(self, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        body = {"query": query, "variables": dict(variables)}
        try:
            response = await self._http.post("/graphql", json=body)
        except httpx.TransportError as error:
            address = self._http.base_url
            message = f"the platform at {address} cannot be reached ({why_unreached(error)})"
            raise Unavailable(message) from None
        return _data_of(response)


def _data_of(response: httpx.Response) -> dict[str, Any]:
    try:
        answer = response.json()
    except ValueError:
        answer = None
    if not isinstance(answer, dict) or not ("data" in answer or "errors" in answer):
        message = f"{response.url} answered {response.status_code}, but not with GraphQL"
        if response.status_code >= httpx.codes.BAD_GATEWAY:
            raise Unavailable(message)
        raise CoeError(f"{message}: is this the platform's address?", code=Unavailable.code)
    if answer.get("errors"):
        raise _error_of(answer["errors"][0])
    data: dict[str, Any] = answer.get("data") or {}
    return data


def _error_of(entry: Mapping[str, Any]) -> CoeError:
    """Convert an entry of `errors` to the class of its code."""
    extensions = dict(entry.get("extensions") or {})
    code = extensions.pop("code", "INTERNAL")
    message = str(entry.get("message", ""))
    problems = extensions.pop("problems", None)
    if code == Invalid.code:
        return Invalid([problem_of(each) for each in problems or [{"message": message}]], message)
    kind = _BY_CODE.get(code, CoeError)
    return kind(message, **{key: value for key, value in extensions.items() if key.isidentifier()})


def problem_of(entry: Mapping[str, Any]) -> Problem:
    """Convert a problem of a response; missing fields are None."""
    return Problem(
        code=str(entry.get("code", Invalid.code)),
        message=str(entry.get("message", "")),
        severity=Severity(entry.get("severity") or Severity.ERROR),
        path=entry.get("path"),
        line=entry.get("line"),
        column=entry.get("column"),
        help=entry.get("help"),
    )
