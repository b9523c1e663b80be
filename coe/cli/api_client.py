"""The client of commands that call a server: its address, the token, GraphQL operations.

The address and the token come from the options, else from COE_URL and COE_TOKEN, else from a
profile (`--profile`, COE_PROFILE, or the current one). Without a token, a job of a CI and a
registered client sign in with what their environment has (`coe.cli.ci`).
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, Final, ParamSpec, Self, TypeVar
from urllib.parse import urlsplit

import click
from click.core import ParameterSource

from coe.cli.documents import with_key
from coe.errors import Unauthenticated

if TYPE_CHECKING:
    import asyncio

    from coe.sdk import Client

Parameters = ParamSpec("Parameters")
ResultT = TypeVar("ResultT")
DEFAULT_URL = "http://127.0.0.1:8700"
PROFILE: Final = "coe.profile"
"""The key in a context's `meta` under which the name of the profile is kept."""
PAGE_SIZE: Final = 100
CA_FILE: Final = "COE_CA_FILE"
"""The variable with the file of further authorities, for commands as for processes."""


class ApiClient:
    """The address of a server of the platform, the token to use there, and whom to trust."""

    def __init__(self, url: str, token: str, ca_file: Path | None = None) -> None:
        """Prepare the client; the first call connects.

        Args:
            url: The server's address.
            token: The bearer token.
            ca_file: Certificates (PEM) of authorities to trust beside the public ones.
        """
        self.url = url
        self.token = token
        self.ca_file = ca_file
        self._runner: asyncio.Runner | None = None
        self._client: Client | None = None

    def __enter__(self) -> Self:
        """Use the client for some calls."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close its connections."""
        if self._runner is not None and self._client is not None:
            self._runner.run(self._client.__aexit__())
            self._runner.close()

    def call(
        self,
        query: str,
        variables: Mapping[str, object] | None = None,
        *,
        seconds: float | None = None,
    ) -> dict[str, Any]:
        """Execute one GraphQL operation and return its data.

        Raises:
            CoeError: The error that the server returned, or the server cannot be reached.
            TimeoutError: It did not answer within `seconds`, if they are given.
        """
        import asyncio  # noqa: PLC0415  # offline commands do without it

        from coe.cli.arguments import GIVEN  # noqa: PLC0415  # the same
        from coe.sdk import Client  # noqa: PLC0415  # the same, and without httpx

        context = click.get_current_context(silent=True)
        if context is not None:
            context.meta[GIVEN] = dict(variables or {})
        if self._runner is None or self._client is None:
            self._runner = asyncio.Runner()
            self._client = Client(self.url, self.token, ca_file=self.ca_file)
        asked = self._client.execute(query, with_key(query, variables or {}))
        return self._runner.run(asked if seconds is None else asyncio.wait_for(asked, seconds))

    def pages(self, query: str, variables: Mapping[str, object], *path: str) -> Iterator[Any]:
        """Each page of a list, from the first to the last; `path` leads to it in the data.

        Raises:
            CoeError: The same as `call`.
        """
        cursor, more = variables.get("after"), True
        while more:
            page: Any = self.call(query, {**variables, "after": cursor})
            for name in path:
                page = page[name]
            yield page
            more, cursor = page["pageInfo"]["hasNextPage"], page["pageInfo"]["endCursor"]


def with_api(
    function: Callable[Concatenate[ApiClient, Parameters], ResultT],
) -> Callable[..., ResultT]:
    """Add the options of the server, and pass the command its client."""

    @server_options
    @functools.wraps(function)
    def wrapped(
        url: str | None,
        token: str | None,
        profile: str | None,
        *args: Parameters.args,
        **kwargs: Parameters.kwargs,
    ) -> ResultT:
        with connect(url, token, profile) as api:
            return function(api, *args, **kwargs)

    return wrapped


def from_file(ctx: click.Context, option: click.Parameter, value: str | None) -> str | None:
    """The secret of an option: typed, in its variable, or in the file that `<variable>_FILE` names.

    Raises:
        SettingRefused: Variable and file are both given, or the file cannot be read.
    """
    typed = ctx.get_parameter_source(str(option.name)) is ParameterSource.COMMANDLINE
    variable = str(option.envvar)
    if typed or not os.environ.get(f"{variable}_FILE"):
        return value
    from coe.settings.sources import given_secret  # noqa: PLC0415  # pydantic is slow to import

    return given_secret(variable)


def server_options(function: Callable[..., ResultT]) -> Callable[..., ResultT]:
    """Add the options `--url`, `--token` and `--profile`."""
    for name, what in (
        ("profile", "A profile of `coe login`"),
        ("token", "Your bearer token"),
        ("url", f"The server's address, by default {DEFAULT_URL}"),
    ):
        variable = f"COE_{name.upper()}"
        text = f"{what}. [{variable}]"
        given = from_file if name == "token" else None
        function = click.option(
            f"--{name}", envvar=variable, metavar=name.upper(), callback=given, help=text
        )(function)
    return function


def connect(url: str | None, token: str | None, profile: str | None) -> ApiClient:
    """The client for these options, the environment and the profiles.

    Raises:
        Unauthenticated: There is no token for this server, or it is malformed.
        NotFound: There is no such profile.
    """
    elsewhere, ca_file, every = "", ca_file_of_environment(), None
    if url is None or not token:
        from coe.cli.profiles import choose, read_profiles  # noqa: PLC0415  # only on this path

        every = read_profiles()
        named = click.get_current_context().meta.get(PROFILE)
        kept = every.chosen(profile if named is None else named)
        if kept is not None and url is not None and checked_url(url) != kept.url:
            elsewhere = f" (the token of the profile is for {kept.url} only)"
        elif kept is not None:
            url, token, ca_file = kept.url, token or kept.token, ca_file or kept.authorities
    url = checked_url(url or DEFAULT_URL)
    if not token and not elsewhere:
        from coe.cli import ci  # noqa: PLC0415  # only on this path

        token = ci.access_token(url, ca_file=ca_file) if ci.is_here() else None
    if not token:
        how = "log in with `coe login`, give --token, or set COE_TOKEN"
        if not elsewhere and every is not None and every.profiles:
            how = f"no profile is in use: {choose(every)}; or {how}"
        raise Unauthenticated(f"no token for {url}{elsewhere}: {how}")
    if not all("!" <= character <= "~" for character in token):
        raise Unauthenticated("the token contains characters that no token has: copy it again")
    return ApiClient(url, token, checked_ca_file(ca_file))


def ca_file_of_environment() -> Path | None:
    """The file that COE_CA_FILE names."""
    named = os.environ.get(CA_FILE)
    return Path(named) if named else None


def checked_ca_file(ca_file: Path | None) -> Path | None:
    """The file itself.

    Raises:
        UsageError: It has no certificates of authorities.
    """
    from coe.tls import NotAuthorities, check_authorities  # noqa: PLC0415  # only with such a file

    if ca_file is not None:
        try:
            check_authorities(ca_file)
        except NotAuthorities as error:
            raise click.UsageError(str(error)) from None
    return ca_file


def checked_url(url: str) -> str:
    """An address without a slash at its end.

    Raises:
        UsageError: It is not an address of a server.
    """
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        message = f"{url!r} is not an address such as {DEFAULT_URL}; see --url and COE_URL"
        raise click.UsageError(message)
    return url.rstrip("/")
