"""The client of commands that call a server: its address, the token, one GraphQL operation."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec, TypeVar
from urllib.parse import urlsplit

import click

from coe.errors import Unauthenticated

Parameters = ParamSpec("Parameters")
ResultT = TypeVar("ResultT")
DEFAULT_URL = "http://127.0.0.1:8700"


@dataclass(frozen=True, slots=True)
class ApiClient:
    """The address of a server of the platform, and the token to use there."""

    url: str
    token: str

    def call(self, query: str, variables: Mapping[str, object] | None = None) -> dict[str, Any]:
        """Execute one GraphQL operation and return its data.

        Raises:
            CoeError: The error that the server returned, or the server cannot be reached.
        """
        import asyncio  # noqa: PLC0415  # offline commands do without it

        from coe.sdk import Client  # noqa: PLC0415  # the same, and without httpx

        async def execute() -> dict[str, Any]:
            async with Client(self.url, self.token) as client:
                return await client.execute(query, dict(variables or {}))

        return asyncio.run(execute())


def with_api(
    function: Callable[Concatenate[ApiClient, Parameters], ResultT],
) -> Callable[..., ResultT]:
    """Add the options `--url` and `--token`, and pass the command its client."""

    @click.option(
        "--url",
        envvar="COE_URL",
        default=DEFAULT_URL,
        show_default=True,
        show_envvar=True,
        help="The server's address.",
    )
    @click.option("--token", envvar="COE_TOKEN", show_envvar=True, help="Your bearer token.")
    @functools.wraps(function)
    def wrapped(
        url: str,
        token: str | None,
        *args: Parameters.args,
        **kwargs: Parameters.kwargs,
    ) -> ResultT:
        if not token:
            raise Unauthenticated("no token: give --token or set COE_TOKEN")
        if not all("!" <= character <= "~" for character in token):
            raise Unauthenticated("the token contains characters that no token has: copy it again")
        return function(ApiClient(_checked(url), token), *args, **kwargs)

    return wrapped


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        message = f"{url!r} is not an address such as {DEFAULT_URL}; see --url and COE_URL"
        raise click.UsageError(message)
    return url.rstrip("/")
