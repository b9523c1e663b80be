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
    from coe.bootstrap import issue_operator_token  # noqa: PLC0415  # SQLAlchemy is slow to import
    from coe.governance.tokens import TokenRequest  # noqa: PLC0415  # the same

    request = TokenRequest(name, subject, scopes or ("*",), timedelta(days=days))
    token = asyncio.run(issue_operator_token(settings_from(config), request))
    if output == "json":
        print_json({"token": token})
    else:
        click.echo(token)
