"""`coe migrate`: migrate the database to this version's tables."""

from __future__ import annotations

import click

from coe.cli.grammar import example, verb
from coe.cli.output import Result, printed
from coe.cli.settings_option import config_option, settings_from


@verb()
@config_option
@click.option("--check", is_flag=True, help="Change nothing; exit code 1 if a migration is due.")
@example("coe migrate", "coe migrate --check")
@printed()
def command(config: str | None, check: bool) -> Result:  # noqa: FBT001  # click passes it by keyword
    """Migrate the database of COE_DATABASE_URL to this version's tables."""
    from coe.migrations.run import current, head, upgrade  # noqa: PLC0415  # Alembic is slow

    settings = settings_from(config)
    before = current(settings.database_url)
    if check:
        data = {"database": before, "code": head()}
        due = before != head()
        return Result(data, f"database at {before or 'nothing'}, code at {head()}", code=int(due))
    upgrade(settings.database_url)
    after = current(settings.database_url)
    was = "" if before == after else f", was {before or 'empty'}"
    return Result({"before": before, "after": after}, f"database at {after}{was}")
