"""The keyring: it seals and opens values with a data key for each team and purpose.

A data key is created in its own transaction, and used only after the commit: a caller that rolls
back, or a process that dies, leaves at worst a key without values. Each process reserves nonces in
blocks. A key without a block left gets a successor, far below the 2^32 random nonces that AES-GCM
allows; old versions still open what they sealed.

The keyring has one direct connection of its own, which it keeps open: a caller that holds a
connection of the pool never waits for a second one of it, and no pooler is between.

Opened keys stay in memory, but for at most a second without a look at whether any was destroyed or
wrapped anew: whoever deletes a row of `data_keys` destroys the key in every process.
"""

from __future__ import annotations

import asyncio
import math
import os
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple
from uuid import UUID

import orjson
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Row
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from coe.crypto.envelope import KEY_BYTES, Cell, DoesNotOpen, Header, OpenKey
from coe.crypto.kek import Kek, read_keks
from coe.crypto.mac import MacKeys
from coe.crypto.models import DataKey
from coe.db import DRIVER, Database, new_id, utcnow
from coe.json_types import JSON
from coe.secret_files import KeyFileMissing

NONCES_PER_KEY: Final = 2**30
"""A quarter of what NIST SP 800-38D allows."""
NONCES_PER_BLOCK: Final = 2**16

KEK_LOCK: Final = 0x636F_6501
"""Advisory lock: shared to wrap a data key, exclusive to change the key-encryption keys."""

KEYS: Final = DataKey.metadata.tables["data_keys"]
LOOK_SECONDS: Final = 1.0
"""How long opened keys are used before the keyring looks whether keys have changed."""
_CHANGES: Final = "SELECT number FROM data_key_changes"
_LOAD: Final = "SELECT id, team, purpose, version, wrapped, kek_id FROM data_keys WHERE id = $1"
_NEWEST: Final = """
    SELECT version, reserved FROM data_keys WHERE team = $1 AND purpose = $2
    ORDER BY version DESC LIMIT 1
"""
_RESERVE: Final = """
    UPDATE data_keys SET reserved = reserved + $3
    WHERE reserved + $3 <= $4 AND id = (
      SELECT id FROM data_keys WHERE team = $1 AND purpose = $2 ORDER BY version DESC LIMIT 1)
    RETURNING id, team, purpose, version, wrapped, kek_id
"""
_CREATE: Final = """
    INSERT INTO data_keys (id, team, purpose, version, wrapped, kek_id, reserved, created_at)
    VALUES ($1, $2, $3, $4, $5, $6, 0, $7) ON CONFLICT (team, purpose, version) DO NOTHING
"""


class WrappedKey(NamedTuple):
    """What a row of `data_keys` says of its key."""

    id: UUID
    team: str
    purpose: str
    version: int
    wrapped: bytes
    kek_id: str


@dataclass(slots=True)
class _Block:
    """The nonces of a key that this process may still use."""

    key: OpenKey
    left: int


class Keyring:
    """The data keys of one database, opened with the key-encryption keys of one file.

    `macs` are the keys of codes, by default those in the file `mac` beside it.

    Safe for any number of tasks of one event loop, and for any number of processes. The first use
    reads the file, which is given: no keyring makes it.
    """

    def __init__(
        self,
        database: Database,
        kek_file: Path,
        *,
        macs: MacKeys | None = None,
        nonces_per_key: int = NONCES_PER_KEY,
        nonces_per_block: int = NONCES_PER_BLOCK,
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        self.engine = create_async_engine(
            DRIVER, async_creator=database.dedicated, poolclass=NullPool, hide_parameters=True
        )
        self.kek_file = kek_file
        self.macs = macs or MacKeys(kek_file.with_name("mac"))
        self._nonces_per_key = nonces_per_key
        self._nonces_per_block = nonces_per_block
        self._keks: dict[str, Kek] = {}
        self._open: dict[UUID, OpenKey] = {}
        self._blocks: dict[tuple[str, str], _Block] = {}
        self._locks: defaultdict[tuple[str, str], asyncio.Lock] = defaultdict(asyncio.Lock)
        self.look_seconds = look_seconds
        self._direct = database.direct()
        self._looking = asyncio.Lock()
        self._changes: int | None = None
        self._fresh_until = -math.inf

    async def seal(self, cell: Cell, purpose: str, data: bytes) -> bytes:
        """Seal the data for the cell, with the current key of its team and the purpose."""
        await self._look()
        name = (cell.team, purpose)
        while True:
            blocks = self._blocks  # those of now: what is reserved while keys change is not used
            block = blocks.get(name)
            if block is not None and block.left > 0:
                block.left -= 1
                return block.key.seal(cell, data)
            async with self._locks[name]:
                if blocks.get(name) is block:
                    blocks[name] = await self._reserve_block(*name)

    async def open(self, cell: Cell, purpose: str, sealed: bytes) -> bytes:
        """Open what `seal` returned for the same cell and purpose.

        Raises:
            DoesNotOpen: The value was changed or moved, or its key is missing.
        """
        header = Header.parse(sealed)
        await self._look()
        key = self._open.get(header.key_id) or await self._load(header.key_id)
        if (key.team, key.purpose, key.version) != (cell.team, purpose, header.version):
            raise DoesNotOpen
        return key.open(cell, sealed)

    async def seal_json(self, cell: Cell, purpose: str, value: JSON) -> bytes:
        """Seal a JSON value."""
        return await self.seal(cell, purpose, orjson.dumps(value))

    async def open_json(self, cell: Cell, purpose: str, sealed: bytes) -> JSON:
        """Open a JSON value.

        Raises:
            DoesNotOpen: As for `open`.
        """
        value: JSON = orjson.loads(await self.open(cell, purpose, sealed))
        return value

    async def _look(self) -> None:
        """Drop the opened keys if data keys have changed, or if that cannot be found out."""
        if time.monotonic() < self._fresh_until:
            return
        async with self._looking:
            if time.monotonic() < self._fresh_until:
                return
            began = time.monotonic()
            try:
                rows = await self._direct.fetch(_CHANGES)
            except (SQLAlchemyError, OSError):
                self._drop()  # the next use of a key meets the same error, if the database is gone
                return
            number = rows[0]["number"] if rows else None
            if number != self._changes:
                self._drop()
            self._changes, self._fresh_until = number, began + self.look_seconds

    def _drop(self) -> None:
        """Forget every opened key, also those that are just being opened."""
        self._open, self._blocks, self._keks = {}, {}, {}

    async def _reserve_block(self, team: str, purpose: str) -> _Block:
        """Reserve a block of nonces: of the newest key if it has one left, else of a new key."""
        size, most = self._nonces_per_block, self._nonces_per_key
        while True:
            opened = self._open
            rows = await self._direct.fetch(_RESERVE, team, purpose, size, most)
            if rows:
                return _Block(await self._opened(WrappedKey(*rows[0]), opened), size)
            await self._create(team, purpose)

    async def _create(self, team: str, purpose: str) -> None:
        """Create the next version, unless another process has just done so."""
        async with self._direct.transaction() as connection:
            await connection.fetch("SELECT pg_advisory_xact_lock_shared($1)", KEK_LOCK)
            newest = await connection.fetchrow(_NEWEST, team, purpose)
            if newest and newest["reserved"] + self._nonces_per_block <= self._nonces_per_key:
                return
            version, key_id = (newest["version"] if newest else 0) + 1, new_id()
            kek = await self.active_kek()
            wrapped = kek.wrap(
                os.urandom(KEY_BYTES), key_id=key_id, team=team, purpose=purpose, version=version
            )
            await connection.fetch(
                _CREATE, key_id, team, purpose, version, wrapped, kek.id, utcnow()
            )

    async def _load(self, key_id: UUID) -> OpenKey:
        opened = self._open
        rows = await self._direct.read(_LOAD, key_id)
        if not rows:
            raise DoesNotOpen
        return await self._opened(WrappedKey(*rows[0]), opened)

    async def _opened(self, row: WrappedKey, opened: dict[UUID, OpenKey]) -> OpenKey:
        key = OpenKey(row.id, row.team, row.purpose, row.version, AESGCM(await self.unwrap(row)))
        return opened.setdefault(key.id, key)

    async def unwrap(self, row: WrappedKey | Row[Any]) -> bytes:
        """The data key of a row of `data_keys`.

        Raises:
            DoesNotOpen: The row was changed, or the file lacks its key-encryption key.
        """
        kek = self._keks.get(row.kek_id)
        if kek is None:
            await self._read_keks()
            kek = self._keks.get(row.kek_id)
        if kek is None:
            message = f"{self.kek_file} lacks the key-encryption key {row.kek_id}"
            raise DoesNotOpen(message)
        return kek.unwrap(
            row.wrapped, key_id=row.id, team=row.team, purpose=row.purpose, version=row.version
        )

    async def active_kek(self) -> Kek:
        """The key that wraps new data keys, read each time: another process may rotate it.

        Raises:
            KeyFileMissing: The file is missing.
        """
        return await self._read_keks()

    async def _read_keks(self) -> Kek:
        try:
            keks = await asyncio.to_thread(read_keks, self.kek_file)
        except FileNotFoundError:
            raise KeyFileMissing.at(self.kek_file) from None
        self._keks = {kek.id: kek for kek in keks}
        return keks[-1]
