from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from coe.crypto.envelope import Cell, DoesNotOpen, Header
from coe.crypto.kek import Kek, create_keks, read_keks, write_keks
from coe.crypto.keys import Keyring
from coe.db import Database
from coe.secret_files import KeyFileMissing, SecretFileRefused, create_secret

CELL = Cell(table="runs", row="r1", column="input_sealed", team="sales")
NAME = b"Annegret Winterstein-Okafor"


@pytest.fixture
def kek_file(tmp_path: Path) -> Path:
    path = tmp_path / "keys" / "kek"
    create_keks(path)
    return path


@pytest.fixture
def keyring(database: Database, kek_file: Path) -> Keyring:
    return Keyring(database, kek_file)


async def keys(database: Database) -> list[tuple[str, str, int, int]]:
    async with database.session() as session:
        rows = await session.execute(
            text("SELECT team, purpose, version, reserved FROM data_keys ORDER BY 1, 2, 3")
        )
        return [tuple(row) for row in rows]


async def test_a_second_process_opens_what_the_first_sealed(
    keyring: Keyring, database: Database, kek_file: Path
) -> None:
    sealed = await keyring.seal_json(CELL, "run", {"name": "Anna", "total": 12})
    other = Keyring(database, kek_file)
    assert await other.open_json(CELL, "run", sealed) == {"name": "Anna", "total": 12}


async def test_each_team_and_purpose_has_its_own_key(keyring: Keyring, database: Database) -> None:
    teams = [CELL, replace(CELL, team="finance")]
    sealed = [await keyring.seal(p, purpose, NAME) for p in teams for purpose in ("run", "audit")]
    assert len({Header.parse(value).key_id for value in sealed}) == 4
    assert len(await keys(database)) == 4
    with pytest.raises(DoesNotOpen):
        await keyring.open(CELL, "audit", sealed[0])
    with pytest.raises(DoesNotOpen):
        await keyring.open(replace(CELL, team="finance"), "run", sealed[0])


async def test_no_byte_of_the_header_can_be_changed(keyring: Keyring) -> None:
    sealed = await keyring.seal(CELL, "run", NAME)
    for index in range(36):
        tampered = bytearray(sealed)
        tampered[index] ^= 1
        with pytest.raises(DoesNotOpen):
            await keyring.open(CELL, "run", bytes(tampered))


async def test_many_tasks_and_processes_create_one_key(database: Database, kek_file: Path) -> None:
    rings = [Keyring(database, kek_file) for _ in range(4)]
    sealed = await asyncio.gather(
        *(ring.seal(CELL, "run", NAME) for ring in rings for _ in range(10))
    )
    assert len({Header.parse(value).key_id for value in sealed}) == 1
    assert len(kek_file.read_text().splitlines()) == 1
    for ring in rings:
        assert await ring.open(CELL, "run", sealed[0]) == NAME


async def test_sealing_never_waits_for_the_pool_that_the_caller_uses_up(
    database_url: str, kek_file: Path
) -> None:
    small = Database(database_url, pool_size=1)
    keyring = Keyring(small, kek_file)
    async with small.session() as one, small.session() as other:
        await one.execute(text("SELECT 1"))
        await other.execute(text("SELECT 1"))  # the pool of one and its overflow of one are out
        assert await asyncio.wait_for(keyring.seal(CELL, "run", NAME), timeout=10)
    await small.close()


async def test_a_key_is_followed_by_the_next_before_its_nonces_are_used_up(
    database: Database, kek_file: Path
) -> None:
    keyring = Keyring(database, kek_file, nonces_per_key=10, nonces_per_block=5)
    sealed = await asyncio.gather(*(keyring.seal(CELL, "run", NAME) for _ in range(23)))
    versions = [Header.parse(value).version for value in sealed]
    assert [versions.count(version) for version in (1, 2, 3)] == [10, 10, 3]
    assert await keys(database) == [
        ("sales", "run", 1, 10),
        ("sales", "run", 2, 10),
        ("sales", "run", 3, 5),
    ]
    for value in sealed:
        assert await keyring.open(CELL, "run", value) == NAME


async def test_processes_share_the_nonces_of_a_key(database: Database, kek_file: Path) -> None:
    rings = [Keyring(database, kek_file, nonces_per_key=40, nonces_per_block=5) for _ in range(8)]
    sealed = await asyncio.gather(*(r.seal(CELL, "run", NAME) for r in rings for _ in range(20)))
    versions = [Header.parse(value).version for value in sealed]
    assert all(versions.count(version) <= 40 for version in set(versions))
    assert all(reserved <= 40 for *_, reserved in await keys(database))


async def test_a_key_exists_before_anything_is_sealed_with_it(
    keyring: Keyring, database: Database
) -> None:
    async with database.session() as session:
        await session.execute(text("SELECT 1"))
        sealed = await keyring.seal(CELL, "run", NAME)
        await session.rollback()
    assert await Keyring(database, keyring.kek_file).open(CELL, "run", sealed) == NAME


async def test_a_changed_data_key_row_does_not_open(keyring: Keyring, database: Database) -> None:
    sealed = await keyring.seal(CELL, "run", NAME)
    async with database.session() as session:
        await session.execute(text("UPDATE data_keys SET team = 'finance'"))
        await session.commit()
    with pytest.raises(DoesNotOpen):
        await Keyring(database, keyring.kek_file).open(replace(CELL, team="finance"), "run", sealed)


async def test_a_missing_kek_file_is_not_made(
    keyring: Keyring, database: Database, kek_file: Path
) -> None:
    sealed = await keyring.seal(CELL, "run", NAME)
    kek_file.unlink()
    other = Keyring(database, kek_file)
    with pytest.raises(KeyFileMissing, match="restore"):
        await other.seal(replace(CELL, team="finance"), "run", NAME)
    with pytest.raises(KeyFileMissing, match="restore"):
        await other.open(CELL, "run", sealed)
    assert not kek_file.exists()


async def test_the_kek_file_is_private_and_a_looser_one_is_refused(
    keyring: Keyring, database: Database, kek_file: Path
) -> None:
    await keyring.seal(CELL, "run", NAME)
    assert kek_file.stat().st_mode & 0o777 == 0o600
    assert kek_file.parent.stat().st_mode & 0o777 == 0o700
    assert list(kek_file.parent.iterdir()) == [kek_file]
    for mode in (0o640, 0o604, 0o620):
        kek_file.chmod(mode)
        with pytest.raises(SecretFileRefused, match="chmod 600"):
            await Keyring(database, kek_file).seal(CELL, "run", NAME)


async def test_a_damaged_kek_file_is_refused(
    keyring: Keyring, database: Database, kek_file: Path
) -> None:
    await keyring.seal(CELL, "run", NAME)
    good = kek_file.read_bytes()
    for index in range(len(good) - 1):
        tampered = bytearray(good)
        tampered[index] = ord("A") if good[index] != ord("A") else ord("B")
        kek_file.write_bytes(bytes(tampered))
        with pytest.raises(SecretFileRefused, match="damaged"):
            await Keyring(database, kek_file).seal(CELL, "run", NAME)


async def test_a_kek_file_is_read_only_as_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "kek"
    create_secret(path, b"")
    write_keks(path, [Kek.of(bytes(32))])
    assert len(read_keks(path)) == 1
    line = path.read_bytes()
    assert line.endswith(b"A=\n")
    path.write_bytes(line.replace(b"A=\n", b"B=\n"))
    with pytest.raises(SecretFileRefused, match="damaged"):
        read_keks(path)


async def test_neither_a_value_nor_a_key_is_in_the_database_in_clear(
    keyring: Keyring, database: Database, kek_file: Path
) -> None:
    await keyring.seal(CELL, "run", NAME)
    block = keyring._blocks["sales", "run"]
    async with database.session() as session:
        row = (await session.execute(text("SELECT * FROM data_keys"))).one()
    data_key = await keyring.unwrap(row)
    assert data_key not in row.wrapped
    assert len(row.wrapped) == 12 + 32 + 16
    assert repr(data_key) not in repr(block)
    assert kek_file.read_text().split()[1] not in repr(await keyring._read_keks())
