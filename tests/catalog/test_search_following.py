"""Who saved finds at once, in every process, in whatever order transactions commit."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from coe.catalog.search import following
from coe.catalog.search.following import OldChanges, index_of
from coe.catalog.search.query import CatalogSearch, search
from coe.catalog.tables import CHANGES
from coe.settings import Settings
from coe.work import Platform
from tests.factories.catalog import central, register
from tests.factories.people import SALES_OWNER

NAMES = ("one", "two", "three")


@pytest.fixture
async def other(settings: Settings) -> AsyncIterator[Platform]:
    """A second process on the same database: it shares nothing else with the first."""
    opened = Platform.open(settings, name="other")
    yield opened
    await opened.close()


@pytest.fixture
async def filled(platform: Platform) -> Platform:
    for name in NAMES:
        await register(platform, SALES_OWNER, central(name, title=f"Flow {name}"))
    return platform


async def _found(platform: Platform, words: str) -> set[str]:
    async with platform.read(SALES_OWNER) as read:
        found = await search(read, CatalogSearch(text=words))
    return {hit.entry.name for hit in found.items}


async def _retitle(session: AsyncSession, name: str, title: str) -> None:
    await session.execute(
        text("UPDATE entries SET title = :title WHERE name = :name"), {"title": title, "name": name}
    )


async def test_a_transaction_that_commits_late_is_followed_in_every_order(
    filled: Platform, other: Platform
) -> None:
    assert await _found(filled, "flow") == await _found(other, "flow") == set(NAMES)
    for number, order in enumerate(itertools.permutations(range(len(NAMES)))):
        word, expected = f"tur{'abcdef'[number]}", set()
        async with AsyncExitStack() as stack:
            sessions = [await stack.enter_async_context(filled.database.session()) for _ in NAMES]
            for session, name in zip(sessions, NAMES, strict=True):
                await _retitle(session, name, f"Flow {word}")
            assert await _found(filled, word) == set()
            for place in order:
                await sessions[place].commit()
                expected.add(NAMES[place])
                assert await _found(filled, word) == expected
                assert await _found(other, word) == expected


async def test_what_is_rolled_back_or_not_yet_committed_is_in_no_index(filled: Platform) -> None:
    assert await _found(filled, "flow") == set(NAMES)
    async with filled.work(SALES_OWNER) as work:
        await _retitle(work.session, "one", "Flow secret")
        with pytest.raises(TypeError, match=r"platform\.read"):
            await search(work, CatalogSearch(text="secret"))
        assert await _found(filled, "secret") == set()
        await work.session.rollback()
    assert await _found(filled, "secret") == set()


async def test_many_save_and_search_at_the_same_time(filled: Platform, other: Platform) -> None:
    async def save_and_find(platform: Platform, number: int) -> None:
        name = f"made-{number}"
        await register(platform, SALES_OWNER, central(name, title=f"Made number{number}"))
        assert await _found(platform, f"number{number}") == {name}

    await asyncio.gather(
        *(save_and_find((filled, other)[number % 2], number) for number in range(8))
    )
    everything = {f"made-{number}" for number in range(8)}
    assert await _found(filled, "made") == await _found(other, "made") == everything


async def test_a_deleted_entry_is_gone(filled: Platform) -> None:
    assert await _found(filled, "flow") == set(NAMES)
    async with filled.database.session() as session:
        for statement in (
            "DELETE FROM entry_links",
            "DELETE FROM entry_versions WHERE name = 'one'",
            "DELETE FROM entries WHERE name = 'one'",
        ):
            await session.execute(text(statement))
        await session.commit()
    assert await _found(filled, "flow") == {"two", "three"}


async def test_changes_are_deleted_when_all_have_followed_and_the_late_build_anew(
    filled: Platform, other: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await _found(filled, "flow") == await _found(other, "flow") == set(NAMES)
    old = OldChanges()
    async with filled.database.session() as session:
        await old.forget(session)
        assert await session.scalar(select(func.count()).select_from(CHANGES))
        monkeypatch.setattr(following, "KEPT", timedelta(0))
        await old.forget(session)
        await session.commit()
        assert await session.scalar(select(func.count()).select_from(CHANGES)) == 0
    before = await index_of(other).current(other.reader)
    async with other.database.session() as session:
        await _retitle(session, "one", "Flow renamed")
        await session.commit()
        await session.execute(text("DELETE FROM entry_changes"))
        await session.commit()
    followed = index_of(other)._followed
    assert followed is not None
    followed.at -= timedelta(hours=1)
    assert await _found(other, "renamed") == {"one"}
    assert await index_of(other).current(other.reader) is not before


async def test_a_database_of_an_earlier_state_is_indexed_anew(filled: Platform) -> None:
    index = index_of(filled)
    before = await index.current(filled.reader)
    assert index._followed is not None
    index._followed.horizon += 1_000_000
    assert await index.current(filled.reader) is not before
    assert await index.current(filled.reader) is await index.current(filled.reader)


async def test_synonyms_are_read_again_when_their_file_changes(
    settings: Settings, platform: Platform, tmp_path_factory: pytest.TempPathFactory
) -> None:
    await register(platform, SALES_OWNER, central("one", title="Flow one"))
    file = tmp_path_factory.mktemp("catalog") / "synonyms.yaml"
    index = following.CatalogIndex(platform.database, file)
    following._INDEXES[platform.database] = index
    assert await _found(platform, "zork") == set()
    for content, found in (
        ("synonyms: [[zork, flow one]]", {"one"}),
        ("synonyms: nothing", {"one"}),
        ("synonyms: [[zink, flow one], [zonk, zank]]", set()),
    ):
        file.write_text(content)
        assert await _found(platform, "zork") == found, content
