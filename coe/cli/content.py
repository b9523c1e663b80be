"""`coe content`: load the policies, teams and catalog entries that are kept as files."""

from __future__ import annotations

import asyncio

import click

from coe.cli.options import config_option, settings_from


@click.group()
def command() -> None:
    """Load what is kept as files: policies, teams, systems and templates."""


@command.command()
@config_option
def load(config: str | None) -> None:
    """Load the content folders into the database; the same again changes nothing."""
    from coe.bootstrap import load_all  # noqa: PLC0415  # SQLAlchemy is slow to import

    for line in asyncio.run(load_all(settings_from(config))):
        click.echo(line)
