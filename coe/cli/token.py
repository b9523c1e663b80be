"""`coe token`: issue tokens for people, services and workers, with access to the database."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import click

from coe.cli.output import output_option, print_json
from coe.cli.settings_option import config_option, settings_from


@click.group()
def command() -> None:
    """Issue the first tokens of an installation, on a machine that reaches the database."""


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
    """Issue a token for SUBJECT (a person, or service:worker/TEAM); it is printed only once."""
    from coe.bootstrap import issue_first_token  # noqa: PLC0415  # SQLAlchemy is slow to import

    settings = settings_from(config)
    token = asyncio.run(
        issue_first_token(
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
