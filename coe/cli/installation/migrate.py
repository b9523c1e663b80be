"""`coe migrate`: migrate the database to this version's tables."""

from __future__ import annotations

from dataclasses import asdict
from typing import Final

import click

from coe.cli.grammar import example, verb
from coe.cli.output import Result, printed
from coe.cli.settings_option import config_option, settings_from

DATABASES: Final = (
    "database_url",
    "database_direct_url",
    "migrate_database_url",
    "sealer_database_url",
)


@verb()
@config_option
@click.option("--check", is_flag=True, help="Change nothing; exit code 1 if a migration is due.")
@click.option(
    "--vouch",
    is_flag=True,
    help="Give a code to rows that decide on access and have none: you know who wrote them.",
)
@click.option(
    "--recode",
    is_flag=True,
    help="Give a code of the newest key to rows whose code is of an older line of "
    "COE_MAC_KEY_FILE, before that line is removed.",
)
@example("coe migrate", "coe migrate --check", "coe migrate --recode")
@printed()
def command(
    config: str | None,
    check: bool,  # noqa: FBT001  # click passes it by keyword
    vouch: bool,  # noqa: FBT001  # the same
    recode: bool,  # noqa: FBT001  # the same
) -> Result:
    """Migrate the database to this version's tables, and grant the roles what they need.

    The role of COE_MIGRATE_DATABASE_URL owns the tables. Those of COE_DATABASE_URL, which serves,
    and of COE_SEALER_DATABASE_URL, which seals the audit log, get the rights that they need and
    lose all others. Codes are given with the keys of COE_MAC_KEY_FILE, which must be those of the
    events in the database.
    """
    from coe.crypto.mac import MacKeys  # noqa: PLC0415  # cryptography is slow to import
    from coe.migrations.roles import Roles  # noqa: PLC0415  # SQLAlchemy is slow to import
    from coe.migrations.run import current, head, upgrade  # noqa: PLC0415  # Alembic is slow
    from coe.migrations.run import recode as give_newest  # noqa: PLC0415  # the same

    settings = settings_from(config)
    url = settings.migrating_url
    before = current(url)
    if check:
        data = {"database": before, "code": head()}
        due = before != head()
        return Result(data, f"database at {before or 'nothing'}, code at {head()}", code=int(due))
    roles = Roles.of(settings)
    keys = MacKeys(settings.mac_key_path)
    coded = upgrade(url, roles=roles, vouch_with=keys if vouch else None)
    recoded = give_newest(url, keys) if recode else 0
    after = current(url)
    was = "" if before == after else f", was {before or 'empty'}"
    done = {
        "before": before,
        "after": after,
        "coded": coded,
        "recoded": recoded,
        "roles": asdict(roles) | {"apart": roles.apart},
    }
    notes = [f"note: {coded:,} rows that had no code have one now"] if coded else []
    if recode:
        notes.append(f"note: {recoded:,} rows have a code of the newest key now")
    notes += [f"note: {roles.unprotected}"] if roles.unprotected else []
    notes += [f"note: {each}" for each in settings.unprotected(*DATABASES)]
    return Result(done, f"database at {after}{was}", notes)
