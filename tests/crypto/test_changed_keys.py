"""Data keys that are destroyed or wrapped anew are gone in every process, not only where it was."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import Row, text

from coe.crypto.envelope import Cell, DoesNotOpen, Header
from coe.crypto.keys import WrappedKey
from coe.crypto.rotation import rotate_kek
from coe.settings import Settings
from coe.work import Platform

CELL = Cell(table="runs", row="r1", column="input_sealed", team="sales")
OTHER = Cell(table="runs", row="r1", column="input_sealed", team="finance")
SHRED = "DELETE FROM data_keys WHERE team = 'sales'"


@pytest.fixture
async def other(settings: Settings) -> AsyncIterator[Platform]:
    """Another process on the same database; it looks at each use, so that no test waits."""
    opened = Platform.open(settings, name="other")
    opened.keyring.look_seconds = 0.0
    yield opened
    await opened.close()


async def execute(platform: Platform, statement: str) -> None:
    async with platform.database.session() as session:
        await session.execute(text(statement))
        await session.commit()


@pytest.mark.parametrize("statement", [SHRED, "TRUNCATE data_keys"], ids=["delete", "truncate"])
async def test_a_destroyed_key_opens_nothing_in_another_process(
    platform: Platform, other: Platform, statement: str
) -> None:
    sealed = await platform.keyring.seal(CELL, "run", b"Annegret Winterstein")
    assert await other.keyring.open(CELL, "run", sealed) == b"Annegret Winterstein"
    await other.keyring.seal(CELL, "run", b"more")
    await execute(platform, statement)
    with pytest.raises(DoesNotOpen):
        await other.keyring.open(CELL, "run", sealed)
    again = await other.keyring.seal(CELL, "run", b"later")
    assert Header.parse(again).key_id != Header.parse(sealed).key_id
    assert await other.keyring.open(CELL, "run", again) == b"later"


async def test_a_key_is_used_for_at_most_as_long_as_it_may_be(
    platform: Platform, other: Platform
) -> None:
    """Between two looks opened keys are used without a query; the next look drops them."""
    other.keyring.look_seconds = 3600.0
    sealed = await other.keyring.seal(CELL, "run", b"x")
    await execute(platform, SHRED)
    assert await other.keyring.open(CELL, "run", sealed) == b"x"
    other.keyring._fresh_until = 0.0
    with pytest.raises(DoesNotOpen):
        await other.keyring.open(CELL, "run", sealed)


async def test_the_keys_of_others_go_on(platform: Platform, other: Platform) -> None:
    sealed = await other.keyring.seal(OTHER, "run", b"x")
    before = other.keyring._open
    assert await other.keyring.open(OTHER, "run", sealed) == b"x"
    await platform.keyring.seal(CELL, "run", b"a new key changes none")
    assert await other.keyring.seal(OTHER, "run", b"y")
    assert other.keyring._open is before
    await execute(platform, SHRED)
    assert await other.keyring.open(OTHER, "run", sealed) == b"x"
    assert other.keyring._open is not before


async def test_a_rotation_drops_the_keys_that_others_hold(
    platform: Platform, other: Platform
) -> None:
    sealed = await other.keyring.seal(CELL, "run", b"x")
    [old] = other.keyring._keks
    await rotate_kek(platform.keyring)
    assert await other.keyring.open(CELL, "run", sealed) == b"x"
    assert old not in other.keyring._keks


async def test_a_key_that_is_being_opened_while_keys_change_is_not_kept(
    platform: Platform, other: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed = await platform.keyring.seal(CELL, "run", b"x")
    read, gone_on = asyncio.Event(), asyncio.Event()
    unwrap = other.keyring.unwrap

    async def slowly(row: WrappedKey | Row[Any]) -> bytes:
        read.set()
        await gone_on.wait()
        return await unwrap(row)

    monkeypatch.setattr(other.keyring, "unwrap", slowly)
    opening = asyncio.create_task(other.keyring.open(CELL, "run", sealed))
    await read.wait()
    await execute(platform, SHRED)
    await other.keyring._look()
    gone_on.set()
    await opening  # it began before
    with pytest.raises(DoesNotOpen):
        await other.keyring.open(CELL, "run", sealed)


async def test_while_the_database_is_away_no_opened_key_is_used(
    platform: Platform, other: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed = await other.keyring.seal(CELL, "run", b"x")

    async def away(*_: object) -> None:
        raise ConnectionRefusedError("away")

    with monkeypatch.context() as patch:
        patch.setattr(other.keyring._direct, "fetch", away)
        patch.setattr(other.keyring, "_load", away)
        with pytest.raises(ConnectionRefusedError, match="away"):
            await other.keyring.open(CELL, "run", sealed)
    assert await other.keyring.open(CELL, "run", sealed) == b"x"
