"""The client of the platform's GraphQL API; errors are raised as the classes of `coe.errors`."""

from __future__ import annotations

import asyncio
import random
import re
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
    kind.code: kind for kind in (Unauthenticated, Forbidden, NotFound, Conflict, TooCostly)
}


FURTHER_ATTEMPTS: Final = 3
"""After an interruption, where nobody asked for patience: somebody else answers by then."""
_MUTATION: Final = re.compile(r"^\s*mutation\b", re.MULTILINE)


class _Interrupted(Unavailable):
    """The platform did not answer what it may have got, or said that it cannot now."""


class Client:
    """A client of the platform's GraphQL API.

    A query that is interrupted, because a process of the platform ends or the database is away for
    a moment, is sent again, and so is a mutation with a `clientMutationId`: it happens once.

    Args:
        url: The platform's address, such as `https://coe.example.com`.
        token: A bearer token.
        patience: The seconds for which to retry while the platform is not available; by default
            some attempts after an interruption. A mutation without a `clientMutationId` is not sent
            again where it may have arrived.
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
        self,
        query: str,
        variables: Mapping[str, Any] | None = None,
        *,
        repeatable: bool | None = None,
    ) -> dict[str, Any]:
        """Execute one GraphQL operation and return its data.

        Args:
            query: The document, with one operation.
            variables: Its variables.
            repeatable: Whether it may be sent again though it may have arrived; by default a query
                may, and a mutation with a `clientMutationId`.

        Raises:
            CoeError: The first error of the response, as the class of its code.
            Unavailable: The platform was not reached within `patience`.
        """
        given = variables or {}
        again = _is_repeatable(query, given) if repeatable is None else repeatable
        deadline = time.monotonic() + self._patience
        attempt = 0
        while True:
            try:
                return await self._execute(query, given)
            except Unavailable as error:
                attempt += 1
                pause = min(10.0, 0.2 * 2**attempt) * random.uniform(0.5, 1.0)  # noqa: S311  # spreads callers
                interrupted = isinstance(error, _Interrupted)
                in_time = time.monotonic() + pause <= deadline
                goes_on = in_time or (interrupted and attempt <= FURTHER_ATTEMPTS)
                if not goes_on or (interrupted and not again):
                    raise Unavailable(error.message, **error.extensions) from None
                await asyncio.sleep(pause)

    async def _execute(self, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        body = {"query": query, "variables": dict(variables)}
        try:
            response = await self._http.post("/graphql", json=body)
        except httpx.TransportError as error:
            address = self._http.base_url
            message = f"the platform at {address} cannot be reached ({why_unreached(error)})"
            unsent = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
            raise (Unavailable if unsent else _Interrupted)(message) from None
        return _data_of(response)


def _is_repeatable(query: str, variables: Mapping[str, Any]) -> bool:
    """Whether the operation changes nothing, or has the key by which it happens once."""
    if not _MUTATION.search(query):
        return True
    inputs = [variables, *(each for each in variables.values() if isinstance(each, Mapping))]
    return any(each.get("clientMutationId") for each in inputs)


def _data_of(response: httpx.Response) -> dict[str, Any]:
    try:
        answer = response.json()
    except ValueError:
        answer = None
    if not isinstance(answer, dict) or not ("data" in answer or "errors" in answer):
        message = f"{response.url} answered {response.status_code}, but not with GraphQL"
        if response.status_code >= httpx.codes.BAD_GATEWAY:
            raise _Interrupted(message)
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
    kind = _Interrupted if code == Unavailable.code else _BY_CODE.get(code, CoeError)
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
