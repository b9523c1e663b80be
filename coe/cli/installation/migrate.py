"""`coe migrate`: migrate the database to this version's tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import click

from coe.cli.grammar import example, verb
from coe.cli.output import Result, Table, printed
from coe.cli.settings_option import config_option, settings_from

if TYPE_CHECKING:
    from coe.settings import Settings

DATABASES: Final = (
    "database_url",
    "database_direct_url",
    "migrate_database_url",
    "sealer_database_url",
)
_COLUMNS: Final = ("revision", "kind", "what", "state")


def _look(name: str, text: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return click.option(name, "look", flag_value=name.removeprefix("--"), help=text)


@verb()
@config_option
@_look("--check", "Change nothing; exit code 1 if a migration is due.")
@_look("--plan", "Change nothing; show what would be done, with `--output json` each statement.")
@_look("--status", "Change nothing; show each revision, and the processes that are connected.")
@click.option(
    "--contract",
    is_flag=True,
    help="Also apply what takes away something that processes of earlier versions use; refused "
    "while one of them is connected.",
)
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
@example(
    "coe migrate",
    "coe migrate --plan",
    "coe migrate --status",
    "coe migrate --contract",
    "coe migrate --check",
    "coe migrate --recode",
)
@printed()
def command(
    config: str | None,
    look: str | None,
    contract: bool,  # noqa: FBT001  # click passes it by keyword
    vouch: bool,  # noqa: FBT001  # the same
    recode: bool,  # noqa: FBT001  # the same
) -> Result:
    """Migrate the database to this version's tables, and grant the roles what they need.

    Processes of the former version work on meanwhile and after it: it only adds. What takes away
    waits for `--contract`, when none of them runs any more. Each revision is a transaction that
    waits for no lock longer than two seconds, and tries again; indexes are made and rows are filled
    while others write. A run that was killed is gone on with by the next.

    The role of COE_MIGRATE_DATABASE_URL owns the tables. Those of COE_DATABASE_URL, which serves,
    and of COE_SEALER_DATABASE_URL, which seals the audit log, get the rights that they need and
    lose all others. Codes are given with the keys of COE_MAC_KEY_FILE, which must be those of the
    events in the database.
    """
    from coe.crypto.mac import MacKeys  # noqa: PLC0415  # cryptography is slow to import
    from coe.migrations.roles import Roles  # noqa: PLC0415  # SQLAlchemy is slow to import
    from coe.migrations.run import recode as give_newest  # noqa: PLC0415  # Alembic is slow
    from coe.migrations.run import upgrade  # noqa: PLC0415  # the same

    settings = settings_from(config)
    if look is not None:
        return _LOOKS[look](settings, contract)
    url = settings.migrating_url
    roles = Roles.of(settings)
    keys = MacKeys(settings.mac_key_path)
    done = upgrade(
        url,
        contract=contract,
        roles=roles,
        vouch_with=keys if vouch else None,
        say=lambda line: click.echo(line, err=True),
    )
    recoded = give_newest(url, keys) if recode else 0
    data = asdict(done) | {
        "recoded": recoded,
        "roles": asdict(roles) | {"apart": roles.apart},
    }
    notes = [f"note: {done.coded:,} rows that had no code have one now"] if done.coded else []
    if recode:
        notes.append(f"note: {recoded:,} rows have a code of the newest key now")
    if done.waiting:
        notes.append(
            f"note: {', '.join(done.waiting)} for `coe migrate --contract`, when no process of an "
            "earlier version runs any more"
        )
    if done.newer:
        notes.append(
            "note: a newer version migrated this database: its rights are left as they are"
        )
    notes += [f"note: {roles.unprotected}"] if roles.unprotected else []
    notes += [f"note: {each}" for each in settings.unprotected(*DATABASES)]
    was = "" if done.before == done.after else f", was {done.before or 'empty'}"
    return Result(data, f"database at {done.after}{was}", notes)


def _check(settings: Settings, contract: bool) -> Result:  # noqa: FBT001  # of the options
    from coe.migrations.revisions import load, pending  # noqa: PLC0415  # Alembic is slow
    from coe.migrations.run import standing  # noqa: PLC0415  # the same

    line, state = load(), standing(settings.migrating_url).state
    left = [each.name for each in pending(line, state, contract=contract)]
    before, newest = state.newest if state else None, line[-1].name
    data = {"database": before, "code": newest, "due": left}
    view = f"database at {before or 'nothing'}, code at {newest}"
    return Result(data, view, code=int(bool(left)))


def _plan(settings: Settings, contract: bool) -> Result:  # noqa: FBT001  # of the options
    from coe.migrations.revisions import load, pending  # noqa: PLC0415  # Alembic is slow
    from coe.migrations.run import older_processes, standing  # noqa: PLC0415  # the same

    line, found = load(), standing(settings.migrating_url)
    now = pending(line, found.state, contract=contract)
    done = found.state.finished if found.state else frozenset()
    rows = [
        {
            "revision": each.name,
            "kind": each.kind.value,
            "what": each.title,
            "state": "now" if each in now else "waits for --contract",
            "sql": each.sql(),
        }
        for each in line
        if each.name not in done
    ]
    older = [str(each) for each in older_processes(now, found)]
    notes = [f"note: refused while it is connected: {each}" for each in older]
    data = {"revisions": rows, "refusedBy": older}
    return Result(data, Table(rows, _COLUMNS, "nothing: the database is up to date"), notes)


def _status(settings: Settings, _: bool) -> Result:  # noqa: FBT001  # of the options
    from coe.migrations.revisions import load  # noqa: PLC0415  # Alembic is slow
    from coe.migrations.run import standing  # noqa: PLC0415  # the same

    found, line = standing(settings.migrating_url), {each.name: each for each in load()}
    applied = {each.revision: each for each in found.state.applied} if found.state else {}
    rows = [
        {
            "revision": name,
            "kind": applied[name].kind if name in applied else line[name].kind.value,
            "what": line[name].title if name in line else "of a newer version",
            "state": _state(applied[name].finished if name in applied else None),
        }
        for name in sorted({*applied, *line})
    ]
    fills = [
        {
            "revision": each.revision,
            "table": each.name,
            "rows": each.filled,
            "state": _state(each.finished_at is not None),
        }
        for each in found.backfills
    ]
    processes = [asdict(each) for each in found.processes]
    views: list[str | Table] = [Table(rows, _COLUMNS)]
    if fills:
        views += ["", "back-fills", Table(fills, ("revision", "table", "rows", "state"))]
    connected = Table(processes, ("program", "knows", "sessions"), "none")
    views += ["", "processes that are connected", connected]
    return Result({"revisions": rows, "backfills": fills, "processes": processes}, views)


def _state(finished: bool | None) -> str:  # noqa: FBT001  # there are three states
    return {None: "not applied", False: "not finished", True: "done"}[finished]


_LOOKS: Final = {"check": _check, "plan": _plan, "status": _status}
