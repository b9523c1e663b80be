"""What commands share that speak to a server: its address, the token, one GraphQL call."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec, TypeVar
from urllib.parse import urlsplit

import click

from coe.errors import CoeError, Unauthenticated

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")
DEFAULT_URL = "http://127.0.0.1:8700"


@dataclass(frozen=True, slots=True)
class Server:
    """A server of the platform, and the token to use there."""

    url: str
    token: str

    def call(self, query: str, variables: Mapping[str, object] | None = None) -> dict[str, Any]:
        """Execute one GraphQL operation and give its data.

        Raises:
            CoeError: The error of the answer, or that the server cannot be reached.
        """
        import asyncio  # noqa: PLC0415  # neither is this

        from coe.sdk import Client  # noqa: PLC0415  # httpx is not needed by offline commands

        async def execute() -> dict[str, Any]:
            async with Client(self.url, self.token) as client:
                return await client.execute(query, dict(variables or {}))

        return asyncio.run(execute())


def with_server(
    function: Callable[Concatenate[Server, Parameters], Result],
) -> Callable[..., Result]:
    """Add `--url` and `--token`, and hand the command the server."""

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
    ) -> Result:
        if not token:
            raise Unauthenticated("no token: give --token or set COE_TOKEN")
        if not all("!" <= character <= "~" for character in token):
            raise Unauthenticated("the token holds characters that no token has: copy it again")
        return function(Server(_address(url), token), *args, **kwargs)

    return wrapped


def _address(url: str) -> str:
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        message = f"{url!r} is no address such as {DEFAULT_URL}; see --url and COE_URL"
        raise click.UsageError(message)
    return url.rstrip("/")


def source_name(path: str) -> str:
    """How a message calls a file that `-` may name."""
    return "stdin" if path == "-" else path


def read_text(path: str) -> str:
    """The text of a file, or of stdin for `-`.

    Raises:
        CoeError: The file cannot be read.
    """
    if path == "-" and sys.stdin.isatty():
        click.echo("reading from stdin, to its end (Ctrl-D) …", err=True)
    try:
        with click.open_file(path, encoding="utf-8") as file:
            return str(file.read())
    except (OSError, UnicodeDecodeError) as error:
        raise CoeError(f"{source_name(path)} cannot be read: {error}", code="INVALID") from None
