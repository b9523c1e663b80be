"""`coe content`: load policies, teams and catalog entries from their files."""

from __future__ import annotations

import asyncio

import click

from coe.cli.grammar import Noun, example
from coe.cli.output import Result, printed
from coe.cli.settings_option import config_option, settings_from


@click.group(cls=Noun)
def command() -> None:
    """Load policies, teams, systems and templates from their files."""


@command.command()
@config_option
@click.option(
    "--accept-access",
    is_flag=True,
    help="Sign the lines and memberships in the database as they are, if somebody changed them "
    "there: look at them first.",
)
@example("coe content load --config coe.env")
@printed()
def load(config: str | None, accept_access: bool) -> Result:  # noqa: FBT001  # click passes it by keyword
    """Load the content folders into the database; loading the same again changes nothing."""
    from coe.bootstrap import load_all  # noqa: PLC0415  # SQLAlchemy is slow to import

    lines = list(asyncio.run(load_all(settings_from(config), accept_access=accept_access)))
    return Result(lines, lines)
