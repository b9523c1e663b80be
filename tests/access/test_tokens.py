"""Tokens: opaque, hashed, expiring, narrowing; and the demo's fixed ones."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, text

from coe.access import tokens
from coe.access.actor import ActorKind
from coe.access.models import AccessToken
from coe.db import Database, utcnow
from coe.errors import Invalid, Unauthenticated

LOCAL = "127.0.0.1"
NOW = datetime(2030, 1, 1, tzinfo=UTC)


async def make(session: object, **changed: object) -> tuple[str, AccessToken]:
    values: dict[str, object] = {
        "name": "laptop",
        "subject": "sales-owner",
        "scopes": ["*"],
        "expires_at": NOW + timedelta(days=30),
        "created_by": "sales-owner",
        "now": NOW,
    }
    return await tokens.issue(session, **(values | changed))  # type: ignore[arg-type]  # any values


async def test_a_token_has_its_subject_and_only_its_hash_is_stored(
    database: Database,
) -> None:
    async with database.session() as session:
        bearer, row = await make(session)
        await session.commit()
        assert bearer.startswith("coe_")
        assert len(bearer) == 47
        assert row.token_hash == hashlib.sha256(bearer.encode()).digest()
        kept = await session.scalar(text("SELECT string_agg(t::text, ' ') FROM access_tokens t"))
        assert bearer.removeprefix("coe_") not in kept

    async with database.session() as session:
        actor = await tokens.authenticate(session, bearer, now=NOW)
    assert actor.subject == "sales-owner"
    assert actor.kind is ActorKind.PERSON
    assert actor.display_name == "Sofia Lind, sales process owner"
    assert actor.scopes is None


async def test_a_service_token_carries_its_scopes(database: Database) -> None:
    async with database.session() as session:
        bearer, row = await make(
            session,
            subject="service:web-shop",
            scopes=["worker:connect", "run:*", "worker:connect"],
        )
        actor = await tokens.authenticate(session, bearer, now=NOW)
    assert row.scopes == ["run:*", "worker:connect"]
    assert actor.kind is ActorKind.SERVICE
    assert actor.scopes == {"worker:connect", "run:*"}


async def test_no_two_tokens_are_the_same(database: Database) -> None:
    async with database.session() as session:
        made = {(await make(session))[0] for _ in range(50)}
    assert len(made) == 50


async def test_an_expired_token_is_refused_from_that_moment(database: Database) -> None:
    async with database.session() as session:
        bearer, row = await make(session, expires_at=NOW + timedelta(hours=1))
        for at, valid in [(timedelta(minutes=59), True), (timedelta(hours=1), False)]:
            try:
                await tokens.authenticate(session, bearer, now=NOW + at)
            except Unauthenticated:
                assert not valid
            else:
                assert valid
        row.expires_at = utcnow() - timedelta(seconds=1)
        await session.flush()
        with pytest.raises(Unauthenticated):
            await tokens.authenticate(session, bearer)


async def test_a_revoked_token_is_refused_and_is_revoked_once(database: Database) -> None:
    async with database.session() as session:
        bearer, row = await make(session)
        other, _ = await make(session)
        assert await tokens.revoke(session, row.id, now=NOW)
        assert not await tokens.revoke(session, row.id, now=NOW)
        with pytest.raises(Unauthenticated):
            await tokens.authenticate(session, bearer, now=NOW)
        assert await tokens.authenticate(session, other, now=NOW)
        found = await tokens.find_token(session, row.id)
        assert found is not None
        assert found.revoked_at == NOW


@pytest.mark.parametrize(
    "bearer",
    [
        "",
        "coe_",
        "coe_" + "a" * 43,
        "coe_" + "a" * 42 + "\n",
        "x" * 47,
        "coe_" + "ä" * 43,
        "\ud800",
    ],
)
async def test_a_malformed_token_is_refused(database: Database, bearer: str) -> None:
    async with database.session() as session:
        await make(session)
        with pytest.raises(Unauthenticated):
            await tokens.authenticate(session, bearer)


async def test_the_hash_is_no_token(database: Database) -> None:
    async with database.session() as session:
        _, row = await make(session)
        for bearer in (row.token_hash.hex(), "coe_" + row.token_hash.hex()[:43]):
            with pytest.raises(Unauthenticated):
                await tokens.authenticate(session, bearer)


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
        ({"expires_at": NOW + timedelta(days=367)}, "/expiresIn"),
        ({"expires_at": datetime(2030, 2, 1)}, "/expiresIn"),  # noqa: DTZ001  # that is the point
    ],
)
async def test_an_invalid_token_is_not_issued(
    database: Database, changed: dict[str, object], path: str
) -> None:
    async with database.session() as session:
        with pytest.raises(Invalid) as caught:
            await make(session, **changed)
        assert [problem.path for problem in caught.value.problems] == [path]
        assert (await session.scalars(select(AccessToken))).all() == []


async def test_all_problems_are_reported_at_once(database: Database) -> None:
    async with database.session() as session:
        with pytest.raises(Invalid) as caught:
            await make(session, name="", subject="", scopes=["x"], expires_at=NOW)
    assert len(caught.value.problems) == 4
