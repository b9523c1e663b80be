"""`coe token`: tokens for people, services and workers, issued beside the database."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import click

from coe.cli.options import config_option, settings_from
from coe.cli.output import output_option, print_json


@click.group()
def command() -> None:
    """Issue the first tokens of an installation, from where the database is reached."""


@command.command()
@click.argument("subject")
@click.option("--name", required=True, help="What the token is for.")
@click.option("--scope", "scopes", multiple=True, help="A permission, or noun:*; repeatable.")
@click.option("--days", default=90, show_default=True, type=click.IntRange(1, 3650))
@config_option
@output_option()
def issue(
    subject: str,
    name: str,
    scopes: tuple[str, ...],
    days: int,
    config: str | None,
    output: str,
) -> None:
    """Issue a token for SUBJECT (a person, or service:worker/TEAM); it is shown this once."""
    from coe.bootstrap import issue_token  # noqa: PLC0415  # SQLAlchemy is slow to import

    settings = settings_from(config)
    token = asyncio.run(
        issue_token(
            settings,
            subject=subject,
            name=name,
            scopes=scopes or ("*",),
            lifetime=timedelta(days=days),
        ),
    )
    if output == "json":
        print_json({"token": token})
    else:
        click.echo(token)
