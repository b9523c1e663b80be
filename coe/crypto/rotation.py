"""Rotate the key-encryption key: add a new one, wrap every data key with it, remove the old.

Each step can be repeated, and a crash after any step is safe: before the third step the file opens
every data key. A key that a kept backup needs (`coe backup record`) stays in the file.
If several machines have copies of the file, copy it after the first step.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Row, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from coe.crypto.kek import Kek, read_keks, write_keks
from coe.crypto.keys import KEK_LOCK, KEYS, Keyring
from coe.crypto.models import Backup
from coe.errors import Conflict

BACKUPS: Final = Backup.metadata.tables["backups"]
_BATCH: Final = 500


@dataclass(frozen=True, slots=True)
class Rotation:
    """The result of a rotation: the active key, and the number of data keys that it wrapped."""

    kek_id: str
    rewrapped: int


async def rotate_kek(keyring: Keyring) -> Rotation:
    """Rotate the key-encryption key while the platform runs; sealed values do not change."""
    kek = await add_kek(keyring)
    rewrapped = await rewrap(keyring)
    await retire_keks(keyring)
    return Rotation(kek.id, rewrapped)


async def add_kek(keyring: Keyring) -> Kek:
    """Add a new key to the file; it wraps every data key created from now on."""
    async with keyring.engine.begin() as connection:
        await _alone(connection)
        await keyring.active_kek()
        kek = Kek.generate()
        await asyncio.to_thread(
            lambda: write_keks(keyring.kek_file, (*read_keks(keyring.kek_file), kek))
        )
    return kek


async def rewrap(keyring: Keyring) -> int:
    """Wrap the data keys of older keys with the active key; return their number."""
    total = 0
    while count := await _rewrap_batch(keyring):
        total += count
    return total


async def retire_keks(keyring: Keyring) -> None:
    """Remove from the file every key but the active one and those that a kept backup needs.

    Raises:
        Conflict: A data key still needs one of them.
    """
    async with keyring.engine.begin() as connection:
        await _alone(connection)
        active = await keyring.active_kek()
        others = select(func.count()).select_from(KEYS).where(KEYS.c.kek_id != active.id)
        if await connection.scalar(others):
            raise Conflict("data keys are still wrapped by an older key: wrap them again first")
        kept = select(func.unnest(BACKUPS.c.kek_ids)).where(BACKUPS.c.kept_until > func.now())
        needed = {active.id, *await connection.scalars(kept)}
        keks = await asyncio.to_thread(read_keks, keyring.kek_file)
        left = [each for each in keks if each.id in needed]
        await asyncio.to_thread(write_keks, keyring.kek_file, left)


async def _rewrap_batch(keyring: Keyring) -> int:
    async with keyring.engine.begin() as connection:
        active = await keyring.active_kek()
        statement = (
            select(KEYS)
            .where(KEYS.c.kek_id != active.id)
            .order_by(KEYS.c.id)
            .limit(_BATCH)
            .with_for_update()
        )
        rows = (await connection.execute(statement)).all()
        for row in rows:
            await connection.execute(
                update(KEYS)
                .where(KEYS.c.id == row.id)
                .values(wrapped=await _wrapped_by(active, keyring, row), kek_id=active.id)
            )
    return len(rows)


async def _wrapped_by(active: Kek, keyring: Keyring, row: Row[Any]) -> bytes:
    data_key = await keyring.unwrap(row)
    return active.wrap(
        data_key, key_id=row.id, team=row.team, purpose=row.purpose, version=row.version
    )


async def _alone(connection: AsyncConnection) -> None:
    await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": KEK_LOCK})
