"""Backups of the database: which there are, and whether one could be restored today."""

from __future__ import annotations

import asyncio
import re
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Row, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from coe.crypto.kek import read_keks
from coe.crypto.keys import KEK_LOCK, KEYS
from coe.crypto.mac import MacKeys
from coe.crypto.rotation import BACKUPS
from coe.db import Database, utcnow, why_unreachable
from coe.errors import Conflict, Invalid, Problem, Unavailable
from coe.formats import instants
from coe.installation.restore import data_keys_check
from coe.installation.status import (
    Check,
    Health,
    schema_check,
    schema_state,
    sinks_check,
)
from coe.json_types import JSON
from coe.secret_files import SecretFileRefused
from coe.settings import Settings

PAGE: Final = "docs/operations/backup.md"
_NO_ROTATION: Final = text("SELECT pg_advisory_xact_lock_shared(:key)")
_ARCHIVER: Final = text("""
    SELECT current_setting('archive_mode') AS mode,
           (SELECT setting::integer FROM pg_settings WHERE name = 'archive_timeout') AS timeout,
           current_setting('synchronous_standby_names') AS standbys,
           current_setting('synchronous_commit') AS commit,
           current_setting('fsync') AS fsync,
           pg_has_role('pg_read_all_stats', 'USAGE') AS sees,
           (SELECT count(*) FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum'))
             AS connected,
           extract(epoch FROM clock_timestamp() - last_archived_time)::double precision AS archived,
           last_failed_wal AS failed,
           coalesce(last_failed_time > last_archived_time, last_failed_time IS NOT NULL) AS failing
    FROM pg_stat_archiver
""")
_NEEDED: Final = re.compile(r"\s*(?:first|any)?\s*([0-9]+)\s*\(", re.IGNORECASE)
"""How many standbys `synchronous_standby_names` asks for; one without a number."""


async def record_backup(
    settings: Settings, label: str, *, taken_at: datetime | None, keep: timedelta
) -> list[str]:
    """Note a backup that was taken, after it is complete; return the keys that it may need.

    `taken_at` is when it began, by default now. The keys may have been rotated since, so these are
    all of the file, and those of the database.

    Raises:
        Conflict: The file of key-encryption keys cannot be read here.
        Invalid: It began in the future, or is not kept any more.
        Unavailable: The database does not answer.
    """
    now = utcnow()
    at = taken_at or now
    if not now - keep < at <= now:
        message = "a backup was taken in the past, and is kept until a time that is to come"
        raise Invalid([Problem("INPUT_BACKUP", message, path="/at")])
    database = Database(settings.serving_url, name="coe-backup", pool_size=1)
    try:
        async with database.session() as session:
            await session.execute(_NO_ROTATION, {"key": KEK_LOCK})
            in_file = {each.id for each in await asyncio.to_thread(read_keks, settings.kek_path)}
            rows = await session.scalars(select(KEYS.c.kek_id).distinct())
            values: dict[str, Any] = {
                "taken_at": at,
                "kept_until": at + keep,
                "kek_ids": sorted(in_file | set(rows)),
            }
            new = insert(BACKUPS).values(label=label, **values)
            await session.execute(new.on_conflict_do_update(index_elements=["label"], set_=values))
            await session.commit()
    except (FileNotFoundError, PermissionError, SecretFileRefused) as error:
        why = getattr(error, "message", None) or f"{settings.kek_path} cannot be read"
        raise Conflict(f"{why}: record backups where the file of keys is ({PAGE}#keys)") from None
    except (SQLAlchemyError, OSError) as error:
        raise Unavailable(f"the database does not answer ({why_unreachable(error)})") from None
    finally:
        await database.close()
    return list(values["kek_ids"])


async def backup_status(
    settings: Settings, *, max_age: timedelta, max_lag: timedelta
) -> list[Check]:
    """Whether what a restore needs is there: a young backup, the log of writes, keys and sinks."""
    database = Database(settings.serving_url, name="coe-backup", pool_size=2)
    try:
        async with database.session() as session:
            schema = await asyncio.to_thread(schema_check, await schema_state(session))
            if schema.health is not Health.OK:
                return [schema]
            checks = [await _age(session, max_age), await wal_check(session, max_lag)]
            macs = MacKeys(settings.mac_key_path)
            checks.append(await data_keys_check(settings, database, macs))
            checks.append(await _old_keys(session, settings))
            checks.append(await sinks_check(session))
    except (SQLAlchemyError, OSError) as error:
        detail = f"does not answer ({why_unreachable(error)})"
        return [Check("database", Health.PROBLEM, detail, "is COE_DATABASE_URL right?")]
    finally:
        await database.close()
    return checks


async def _age(session: AsyncSession, max_age: timedelta) -> Check:
    newest = (
        await session.execute(
            select(BACKUPS, (func.now() - BACKUPS.c.taken_at).label("age"))
            .order_by(BACKUPS.c.taken_at.desc())
            .limit(1)
        )
    ).one_or_none()
    if newest is None:
        detail = "none is recorded: nobody knows whether there is one"
        return Check("backup", Health.PROBLEM, detail, f"coe backup record, {PAGE}")
    data: dict[str, JSON] = {
        "label": newest.label,
        "takenAt": instants.write_seconds(newest.taken_at),
        "ageSeconds": round(newest.age.total_seconds()),
    }
    hours = newest.age.total_seconds() / 3600
    detail = f"{newest.label}, {hours:.1f} hours old"
    if newest.age > max_age:
        return Check("backup", Health.PROBLEM, f"the newest is {detail}", PAGE, data)
    return Check("backup", Health.OK, detail, data=data)


async def wal_check(session: AsyncSession, max_lag: timedelta) -> Check:
    """How much could be lost: by a synchronous standby nothing, by the archive its lag."""
    row = (await session.execute(_ARCHIVER)).one()
    data: dict[str, JSON] = {
        "archiveMode": row.mode,
        "archiveTimeoutSeconds": row.timeout,
        "archivedSecondsAgo": None if row.archived is None else round(row.archived, 1),
        "failedWal": row.failed if row.failing else None,
        "synchronousStandbys": row.standbys,
        "connectedStandbys": row.connected if row.sees else None,
    }
    health, detail = _lag(row, max_lag)
    mends = None if health is Health.OK else f"{PAGE}#the-log-of-writes"
    return Check("log of writes", health, detail, mends, data)


def _lag(row: Row[Any], max_lag: timedelta) -> tuple[Health, str]:
    synchronous = bool(row.standbys) and row.commit not in {"off", "local"}
    since = "never" if row.archived is None else f"{row.archived:.0f} s ago"
    late = row.archived is None or row.archived > max_lag.total_seconds()
    lost = f"archived {since}: that much could be lost"
    asked = _NEEDED.match(row.standbys)
    needed = int(asked[1]) if asked else 1
    away = (
        f"{row.standbys} has to confirm each commit, and {row.connected} of {needed} synchronous"
        " standbys are connected: commits wait"
    )
    found = {
        "fsync is off: a power failure loses the whole database": row.fsync == "off",
        f"archiving {row.failed} failed, and nothing was archived since": row.failing,
        "neither archived nor kept by a synchronous standby: a loss is as old as the backup": (
            row.mode == "off" and not synchronous
        ),
        away: synchronous and row.sees and row.connected < needed,
        lost: late and not synchronous,
    }
    for detail, is_so in found.items():
        if is_so:
            return Health.PROBLEM, detail
    if synchronous and not row.sees:
        detail = (
            f"{row.standbys} has to confirm each commit; whether it is connected is not visible"
        )
        return Health.WARNING, f"{detail} (GRANT pg_read_all_stats to the role)"
    if synchronous:
        return Health.OK, f"kept by {row.standbys} before a commit answers: nothing is lost"
    if not row.timeout:
        return Health.WARNING, f"{lost}; without archive_timeout a quiet hour adds to it"
    return Health.OK, lost


async def _old_keys(session: AsyncSession, settings: Settings) -> Check:
    """Whether the file still has the keys that the kept backups need, also the oldest one."""
    kept = (
        await session.execute(
            select(BACKUPS).where(BACKUPS.c.kept_until > func.now()).order_by(BACKUPS.c.taken_at)
        )
    ).all()
    try:
        keks = await asyncio.to_thread(read_keks, settings.kek_path)
    except (OSError, SecretFileRefused) as error:
        detail = getattr(error, "message", type(error).__name__)
        return Check("keys of backups", Health.PROBLEM, detail, "docs/operations.md#keys")
    have = {each.id for each in keks}
    lacking = {row.label: sorted(set(row.kek_ids) - have) for row in kept}
    closed = {label: ids for label, ids in lacking.items() if ids}
    data: dict[str, JSON] = {"backups": len(kept), "closed": dict(closed)}
    if closed:
        label, ids = next(iter(closed.items()))
        detail = f"{label} needs the key {', '.join(ids)}, which {settings.kek_path} lacks"
        return Check("keys of backups", Health.PROBLEM, detail, f"{PAGE}#keys", data)
    return Check("keys of backups", Health.OK, f"those of {len(kept)} kept backups", data=data)
