"""`coe login`, `coe logout`, `coe profile`: the servers that you use, and your tokens there."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from coe.cli.api_client import (
    CA_FILE,
    DEFAULT_URL,
    PROFILE,
    ApiClient,
    checked_ca_file,
    checked_url,
    from_file,
)
from coe.cli.grammar import Noun, example, verb
from coe.cli.new_files import ask_secret
from coe.cli.output import Result, Table, printed
from coe.cli.profiles import (
    DEFAULT,
    Profile,
    checked_name,
    choose,
    profiles_file,
    read_profiles,
    save_profiles,
)
from coe.errors import NotFound, Unauthenticated
from coe.tls import in_clear

_ME = "query { me { subject kind displayName roles teams { slug } } }"


@verb("login")
@click.argument("url", required=False, envvar="COE_URL")
@click.option(
    "--token",
    envvar="COE_TOKEN",
    metavar="TOKEN",
    callback=from_file,
    help="The token; else it is asked.",
)
@click.option(
    "--ci", "as_job", is_flag=True, help="Sign in as this job of a CI; the token lasts minutes."
)
@click.option("--profile", metavar="NAME", help=f"The profile to write; by default `{DEFAULT}`.")
@click.option(
    "--ca-file",
    envvar=CA_FILE,
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False),
    help=f"Authorities (PEM) to trust beside the public ones; kept in the profile. [{CA_FILE}]",
)
@example(
    "coe login https://coe.example.com",
    "coe login https://coe.corp.example --ca-file corp-ca.pem",
    "coe login http://127.0.0.1:8700 --profile demo",
)
@printed()
@click.pass_context
def login(
    ctx: click.Context,
    url: str | None,
    token: str | None,
    as_job: bool,  # noqa: FBT001  # click passes it by keyword
    profile: str | None,
    ca_file: str | None,
) -> Result:
    """Keep the server at URL, and your token there, in a profile that commands use from now on.

    With `--profile` another profile is written, and used from now on only if there was none: see
    `coe profile use`. The token is tried first. It is kept in your configuration, in a file that
    only you may read.
    """
    given = profile if profile is not None else ctx.meta.get(PROFILE)
    name = checked_name(DEFAULT if given is None else given)
    url = checked_url(url or _server())
    authorities = checked_ca_file(Path(ca_file).absolute() if ca_file else None)
    if as_job:
        from coe.cli.ci import access_token  # noqa: PLC0415  # only on this path

        token = access_token(url, ca_file=authorities)
    token = token or ask_secret("Token", "--token or COE_TOKEN")
    token = str(token).strip()
    if not token or not all("!" <= character <= "~" for character in token):
        raise Unauthenticated("the token contains characters that no token has: copy it again")
    with ApiClient(url, token, authorities) as api:
        me = api.call(_ME)["me"]
    trusted = str(authorities) if authorities else None
    kept = read_profiles()
    was = kept.current
    kept = kept.with_profile(name, Profile(url, token, trusted))
    if given is None or was is None:
        kept = kept.using(name)
    save_profiles(kept)
    notes = []
    if in_clear(url):
        notes.append(f"note: {url} is reached in clear: whoever is on the way can use your token")
    if kept.current != name:
        notes.append(f"commands use `{kept.current}` as before: coe profile use {name}")
    return Result(
        {
            "profile": name,
            "url": url,
            "subject": me["subject"],
            "file": str(profiles_file()),
            "current": kept.current,
        },
        f"{me['subject']} at {url}, kept as profile `{name}` in {profiles_file()}",
        notes,
    )


@verb("logout")
@click.option("--profile", metavar="NAME", help="The profile; by default the current one.")
@click.option("--all", "every", is_flag=True, help="Forget all profiles.")
@example("coe logout", "coe logout --profile demo")
@printed()
@click.pass_context
def logout(ctx: click.Context, profile: str | None, every: bool) -> Result:  # noqa: FBT001  # click passes it by keyword
    """Forget a profile with its token; the token itself is valid until `coe token revoke`."""
    kept = read_profiles()
    given = profile if profile is not None else ctx.meta.get(PROFILE)
    name = kept.current if given is None else given
    if not every:
        kept.chosen(name)
    names = sorted(kept.profiles) if every else [name] if name in kept.profiles else []
    for each in names:
        kept = kept.without(str(each))
    if names:
        save_profiles(kept)
    said = f"forgotten: {', '.join(map(str, names))}" if names else "there is no profile"
    if name is None and kept.profiles and not every:
        said = f"no profile is in use; there is: {', '.join(sorted(kept.profiles))}"
    left = names and kept.current is None and kept.profiles
    notes = [f"no profile is in use now: {choose(kept)}"] if left else []
    return Result({"forgotten": names, "current": kept.current}, said, notes)


def _server() -> str:
    if not sys.stdin.isatty():
        raise click.UsageError("give URL, or set COE_URL")
    return str(click.prompt("Server", default=DEFAULT_URL, err=True))


@click.group(cls=Noun)
def command() -> None:
    """List the servers of `coe login`, and choose one."""


@command.command("list")
@example("coe profile list")
@printed()
def list_profiles() -> Result:
    """List your profiles; tokens are not shown."""
    kept = read_profiles()
    rows = [
        {"name": name, "url": each.url, "current": name == kept.current}
        for name, each in sorted(kept.profiles.items())
    ]
    return Result(rows, Table(rows, ["name", "url", "current"], "No profile yet: coe login"))


@command.command("use")
@click.argument("name")
@example("coe profile use demo")
@printed()
def use(name: str) -> Result:
    """Make the profile NAME the current one."""
    kept = read_profiles()
    profile = kept.chosen(name)
    if profile is None:
        raise NotFound
    save_profiles(kept.using(name))
    return Result({"current": name, "url": profile.url}, f"{name}: {profile.url}")
