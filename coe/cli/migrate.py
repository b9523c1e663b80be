"""`coe migrate`: bring the database to this version's tables."""

from __future__ import annotations

import click

from coe.cli.options import config_option, settings_from


@click.command()
@config_option
@click.option("--check", is_flag=True, help="Change nothing; exit 1 if something is to do.")
def command(config: str | None, check: bool) -> None:  # noqa: FBT001  # click hands it by keyword
    """Bring the database named by COE_DATABASE_URL to this version's tables."""
    from coe.migrations.run import current, head, upgrade  # noqa: PLC0415  # Alembic is slow

    settings = settings_from(config)
    before = current(settings.database_url)
    if check:
        click.echo(f"database at {before or 'nothing'}, code at {head()}")
        raise SystemExit(0 if before == head() else 1)
    upgrade(settings.database_url)
    after = current(settings.database_url)
    click.echo(f"database at {after}" + ("" if before == after else f", was {before or 'empty'}"))
