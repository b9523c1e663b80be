from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from coe.crypto.envelope import Cell
from coe.crypto.kek import read_keks
from coe.crypto.keys import Keyring
from coe.crypto.rotation import add_kek, retire_keks, rewrap, rotate_kek
from coe.db import Database
from coe.errors import Conflict
from tests.factories.keys import keyring_of

PLACE = Cell(table="runs", row="r1", column="input_sealed", team="sales")
TEAMS = [replace(PLACE, team=f"team-{number}") for number in range(7)]


@pytest.fixture
async def keyring(database: Database, tmp_path: Path) -> Keyring:
    return keyring_of(database, tmp_path / "kek")


async def test_values_open_after_rotation_with_the_new_file_alone(
    keyring: Keyring, database: Database
) -> None:
    sealed = [await keyring.seal(place, "run", b"value") for place in TEAMS]
    (old,) = read_keks(keyring.kek_file)
    rotation = await rotate_kek(keyring)
    (new,) = read_keks(keyring.kek_file)
    assert rotation.rewrapped == len(TEAMS)
    assert rotation.kek_id == new.id != old.id
    assert keyring.kek_file.stat().st_mode & 0o777 == 0o600
    fresh = Keyring(database, keyring.kek_file)
    for place, value in zip(TEAMS, sealed, strict=True):
        assert await fresh.open(place, "run", value) == b"value"
        assert await keyring.open(place, "run", value) == b"value"
    async with database.session() as session:
        ids = (await session.execute(text("SELECT DISTINCT kek_id FROM data_keys"))).scalars()
        assert list(ids) == [new.id]


async def test_a_process_that_knew_the_old_key_continues(
    keyring: Keyring, database: Database
) -> None:
    await keyring.seal(PLACE, "run", b"value")
    other = Keyring(database, keyring.kek_file)
    await other.seal(PLACE, "audit", b"value")
    await rotate_kek(keyring)
    sealed = await other.seal(TEAMS[0], "run", b"later")
    assert await Keyring(database, keyring.kek_file).open(TEAMS[0], "run", sealed) == b"later"
    later = await keyring.seal(TEAMS[1], "run", b"last")
    assert await other.open(TEAMS[1], "run", later) == b"last"


async def test_a_key_that_is_needed_is_not_retired(keyring: Keyring, database: Database) -> None:
    sealed = await keyring.seal(PLACE, "run", b"value")
    await add_kek(keyring)
    with pytest.raises(Conflict):
        await retire_keks(keyring)
    assert len(read_keks(keyring.kek_file)) == 2
    # As after a crash between any two steps: everything opens, and the steps can be repeated.
    assert await Keyring(database, keyring.kek_file).open(PLACE, "run", sealed) == b"value"
    assert await rewrap(keyring) == 1
    assert await rewrap(keyring) == 0
    assert await Keyring(database, keyring.kek_file).open(PLACE, "run", sealed) == b"value"
    await retire_keks(keyring)
    assert len(read_keks(keyring.kek_file)) == 1


async def test_keys_made_while_rotating_are_kept(keyring: Keyring, database: Database) -> None:
    async def write(number: int) -> tuple[Cell, bytes]:
        place = replace(PLACE, team=f"busy-{number}")
        ring = Keyring(database, keyring.kek_file)
        return place, await ring.seal(place, "run", b"value")

    await keyring.seal(PLACE, "run", b"value")
    sealed, *_ = await asyncio.gather(
        asyncio.gather(*(write(number) for number in range(12))),
        add_kek(keyring),
    )
    await rewrap(keyring)
    await retire_keks(keyring)
    fresh = Keyring(database, keyring.kek_file)
    for place, value in sealed:
        assert await fresh.open(place, "run", value) == b"value"
