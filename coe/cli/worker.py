"""`coe worker`: run the central flows, or one team's own flows."""

from __future__ import annotations

import asyncio

import click

from coe.cli.settings_option import config_option, settings_from


@click.group()
def command() -> None:
    """Run the central flows, or a team's own."""


@command.command()
@config_option
def central(config: str | None) -> None:
    """Run the central flows (needs the database, the keys and the Prefect server)."""
    from coe.worker import run_central_worker  # noqa: PLC0415  # Prefect takes seconds to import

    asyncio.run(run_central_worker(settings_from(config)))


@command.command()
@click.argument("team")
@config_option
def team(team: str, config: str | None) -> None:
    """Run TEAM's local flows (needs COE_URL, the team's COE_TOKEN and COE_FLOWS_DIR only)."""
    from coe.worker import run_team_worker  # noqa: PLC0415  # Prefect takes seconds to import

    asyncio.run(run_team_worker(settings_from(config), team))
