"""`coe content`: load policies, teams and catalog entries from their files."""

from __future__ import annotations

import asyncio

import click

from coe.cli.settings_option import config_option, settings_from


@click.group()
def command() -> None:
    """Load policies, teams, systems and templates from their files."""


@command.command()
@config_option
def load(config: str | None) -> None:
    """Load the content folders into the database; loading the same again changes nothing."""
    from coe.bootstrap import load_all  # noqa: PLC0415  # SQLAlchemy is slow to import

    for line in asyncio.run(load_all(settings_from(config))):
        click.echo(line)
