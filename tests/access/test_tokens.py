"""Tokens: opaque, hashed, expiring, narrowing; and the demo's fixed ones."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text

from coe.access import tokens
from coe.access.actor import ActorKind
from coe.access.models import AccessToken
from coe.access.token_text import PATTERN, TokenKind, is_token, new_token
from coe.crypto.mac import MacKeys, MacPurpose, add_key, create_keys
from coe.db import Database
from coe.errors import Invalid, Unauthenticated

LOCAL = "127.0.0.1"
NOW = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture
def macs(tmp_path: Path) -> MacKeys:
    create_keys(tmp_path / "mac")
    return MacKeys(tmp_path / "mac")


async def make(session: Any, macs: MacKeys, **changed: object) -> tuple[str, AccessToken]:
    values: dict[str, object] = {
        "name": "laptop",
        "subject": "sales-owner",
        "scopes": ["*"],
        "expires_at": NOW + timedelta(days=30),
        "created_by": "sales-owner",
    }
    new = tokens.NewToken(**(values | changed))  # type: ignore[arg-type]  # any values
    return await tokens.issue(session, macs, new, now=NOW)


async def test_a_token_has_its_subject_and_only_its_hash_is_stored(
    database: Database, macs: MacKeys
) -> None:
    async with database.session() as session:
        bearer, row = await make(session, macs)
        await session.commit()
        assert re.fullmatch(PATTERN, bearer)
        assert row.token_hash == macs.code(MacPurpose.ACCESS_TOKEN, b"text", bearer.encode())
        kept = await session.scalar(text("SELECT string_agg(t::text, ' ') FROM access_tokens t"))
        assert bearer.split("_")[2] not in kept

    async with database.session() as session:
        found = await tokens.authenticate(session, macs, bearer, now=NOW)
    actor = found.actor
    assert actor.subject == "sales-owner"
    assert actor.kind is ActorKind.PERSON
    assert actor.display_name == "Sofia Lind, sales process owner"
    assert actor.scopes is None


async def test_a_service_token_carries_its_scopes(database: Database, macs: MacKeys) -> None:
    async with database.session() as session:
        bearer, row = await make(
            session,
            macs,
            subject="service:web-shop",
            scopes=["worker:connect", "run:*", "worker:connect"],
        )
        actor = (await tokens.authenticate(session, macs, bearer, now=NOW)).actor
    assert row.scopes == ["run:*", "worker:connect"]
    assert actor.kind is ActorKind.SERVICE
    assert actor.scopes == {"worker:connect", "run:*"}


async def test_no_two_tokens_are_the_same(database: Database, macs: MacKeys) -> None:
    async with database.session() as session:
        made = {(await make(session, macs))[0] for _ in range(50)}
    assert len(made) == 50


async def test_an_expired_token_is_refused_from_that_moment(
    database: Database, macs: MacKeys
) -> None:
    async with database.session() as session:
        bearer, _ = await make(session, macs, expires_at=NOW + timedelta(hours=1))
        for at, valid in [(timedelta(minutes=59), True), (timedelta(hours=1), False)]:
            try:
                await tokens.authenticate(session, macs, bearer, now=NOW + at)
            except Unauthenticated:
                assert not valid
            else:
                assert valid


async def test_a_revoked_token_is_refused_and_is_revoked_once(
    database: Database, macs: MacKeys
) -> None:
    async with database.session() as session:
        bearer, row = await make(session, macs)
        other, _ = await make(session, macs)
        assert await tokens.revoke(session, row.id, now=NOW)
        assert not await tokens.revoke(session, row.id, now=NOW)
        with pytest.raises(Unauthenticated):
            await tokens.authenticate(session, macs, bearer, now=NOW)
        assert await tokens.authenticate(session, macs, other, now=NOW)
        found = await tokens.find_token(session, row.id)
        assert found is not None
        assert found.revoked_at == NOW


def test_the_checksum_finds_every_changed_or_missing_letter() -> None:
    bearer = new_token(TokenKind.SERVICE)
    assert is_token(bearer)
    for at, letter in enumerate(bearer):
        other = "A" if letter != "A" else "B"
        assert not is_token(bearer[:at] + other + bearer[at + 1 :])
        assert not is_token(bearer[:at] + bearer[at + 1 :])
    assert not is_token(bearer + "\n")


async def test_a_token_of_an_older_key_works_until_the_key_is_removed(
    database: Database, macs: MacKeys
) -> None:
    async with database.session() as session:
        bearer, _ = await make(session, macs)
        add_key(macs.path)
        newer, row = await make(session, macs)
        assert row.token_hash == macs.code(MacPurpose.ACCESS_TOKEN, b"text", newer.encode())
        for each in (bearer, newer):
            assert await tokens.authenticate(session, macs, each, now=NOW)
        macs.path.unlink()
        create_keys(macs.path)
        for each in (bearer, newer):
            with pytest.raises(Unauthenticated):
                await tokens.authenticate(session, macs, each, now=NOW)


async def test_the_hash_is_no_token(database: Database, macs: MacKeys) -> None:
    async with database.session() as session:
        _, row = await make(session, macs)
        for bearer in (row.token_hash.hex(), row.token_hash.decode("latin-1")):
            with pytest.raises(Unauthenticated):
                await tokens.authenticate(session, macs, bearer)


@pytest.mark.parametrize(
    ("changed", "path"),
    [
        ({"name": ""}, "/name"),
        ({"name": " x"}, "/name"),
        ({"name": "x" * 101}, "/name"),
        ({"subject": "sales, owner"}, "/subject"),
        ({"subject": "run:0190f3a1-0000-7000-8000-000000000000"}, "/subject"),
        ({"scopes": []}, "/scopes"),
        ({"scopes": ["run:start", "run:fly"]}, "/scopes/1"),
        ({"scopes": ["moon:*"]}, "/scopes/0"),
        ({"expires_at": NOW}, "/expiresIn"),
        ({"expires_at": NOW + timedelta(days=365, seconds=1)}, "/expiresIn"),
        ({"expires_at": datetime(2030, 2, 1)}, "/expiresIn"),  # noqa: DTZ001  # that is the point
    ],
)
async def test_an_invalid_token_is_not_issued(
    database: Database, macs: MacKeys, changed: dict[str, object], path: str
) -> None:
    async with database.session() as session:
        with pytest.raises(Invalid) as caught:
            await make(session, macs, **changed)
        assert [problem.path for problem in caught.value.problems] == [path]
        assert (await session.scalars(select(AccessToken))).all() == []


async def test_all_problems_are_reported_at_once(database: Database, macs: MacKeys) -> None:
    async with database.session() as session:
        with pytest.raises(Invalid) as caught:
            await make(session, macs, name="", subject="", scopes=["x"], expires_at=NOW)
    assert len(caught.value.problems) == 4
