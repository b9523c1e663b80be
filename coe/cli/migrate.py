"""`coe migrate`: migrate the database to this version's tables."""

from __future__ import annotations

import click

from coe.cli.settings_option import config_option, settings_from


@click.command()
@config_option
@click.option("--check", is_flag=True, help="Change nothing; exit code 1 if a migration is due.")
def command(config: str | None, check: bool) -> None:  # noqa: FBT001  # click passes it by keyword
    """Migrate the database of COE_DATABASE_URL to this version's tables."""
    from coe.migrations.run import current, head, upgrade  # noqa: PLC0415  # Alembic is slow

    settings = settings_from(config)
    before = current(settings.database_url)
    if check:
        click.echo(f"database at {before or 'nothing'}, code at {head()}")
        raise SystemExit(0 if before == head() else 1)
    upgrade(settings.database_url)
    after = current(settings.database_url)
    click.echo(f"database at {after}" + ("" if before == after else f", was {before or 'empty'}"))
