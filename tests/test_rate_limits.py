"""Counters of how often somebody does something, shared by processes through the database."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select

from coe.db import Database
from coe.rate_limits import Exceeded, Limited, Rate, RateLimit, RateLimits, forget_empty

NOW = datetime(2026, 1, 31, 9, tzinfo=UTC)


def limits(database: Database, rate: str = "3/minute") -> RateLimits:
    return RateLimits.of(database, {"check": rate})


async def take(some: RateLimits, *, after: float = 0, amount: int = 1, who: str = "anna") -> int:
    """Take for a subject; 0, or the seconds after which it may try again."""
    try:
        now = NOW + timedelta(seconds=after)
        await some.take(Limited.CHECK, now=now, subject=who, amount=amount)
    except Exceeded as exceeded:
        return int(exceeded.extensions["retry_after"])
    return 0


async def test_the_amount_may_be_taken_at_once_and_drains_steadily(database: Database) -> None:
    some = limits(database)
    assert [await take(some) for _ in range(4)] == [0, 0, 0, 20]
    assert await take(some, after=19) == 1
    assert await take(some, after=20) == 0
    assert await take(some, after=20) == 20
    assert [await take(some, after=200) for _ in range(4)] == [0, 0, 0, 20]


async def test_a_refusal_takes_nothing(database: Database) -> None:
    some = limits(database)
    for _ in range(9):
        await take(some)
    assert await take(some, after=20) == 0


async def test_whoever_waits_as_long_as_was_said_is_let_in(database: Database) -> None:
    some = limits(database, "5/second")
    waited = 0.0
    for amount in (5, 1, 3, 5, 9):
        seconds = await take(some, after=waited, amount=amount)
        if seconds:
            waited += seconds
            assert await take(some, after=waited, amount=amount) == 0


async def test_subjects_and_kinds_have_counters_of_their_own(database: Database) -> None:
    some = limits(database, "1/hour")
    assert await take(some) == 0
    assert await take(some) == 3600
    assert await take(some, who="bert") == 0
    await some.take(Limited.EXPORT, now=NOW, subject="anna")


async def test_an_address_has_five_times_the_amount_of_one_subject(database: Database) -> None:
    some = limits(database, "1/hour")
    for number in range(5):
        await some.take(Limited.CHECK, now=NOW, subject=f"p{number}", address="192.0.2.1")
    with pytest.raises(Exceeded):
        await some.take(Limited.CHECK, now=NOW, subject="p5", address="192.0.2.1")
    await some.take(Limited.CHECK, now=NOW, subject="p6", address="192.0.2.2")


async def test_an_address_without_a_subject_has_the_amount_itself(database: Database) -> None:
    some = RateLimits.of(database, {"sign_in": "2/minute"})
    for _ in range(2):
        await some.take(Limited.SIGN_IN, now=NOW, address="192.0.2.1")
    with pytest.raises(Exceeded):
        await some.take(Limited.SIGN_IN, now=NOW, address="192.0.2.1")


async def test_callers_at_once_take_no_more_than_there_is(database: Database) -> None:
    some, other = limits(database, "7/hour"), limits(database, "7/hour")
    waits = await asyncio.gather(*(take(each) for each in (some, other) * 10))
    assert waits.count(0) == 7


async def test_one_event_a_minute_says_that_a_counter_refuses(database: Database) -> None:
    some = limits(database, "1/day")
    news = []
    for seconds in (0, 1, 2, 60, 61, 62, 121):
        try:
            now = NOW + timedelta(seconds=seconds)
            await some.take(Limited.CHECK, now=now, subject="anna")
        except Exceeded as exceeded:
            news.append(exceeded.is_news)
    assert news == [True, False, False, True, False, True]


async def test_more_than_the_whole_rate_counts_as_the_whole(database: Database) -> None:
    some = limits(database, "10/minute")
    assert await take(some, amount=500) == 0
    assert await take(some) == 6


async def test_a_limit_can_be_switched_off(database: Database) -> None:
    some = limits(database, "off")
    assert [await take(some) for _ in range(50)] == [0] * 50


async def test_empty_counters_are_forgotten(database: Database) -> None:
    await take(limits(database))
    async with database.session() as session:
        await forget_empty(session, NOW + timedelta(seconds=19))
        assert await session.scalar(select(func.count()).select_from(RateLimit)) == 1
        await forget_empty(session, NOW + timedelta(seconds=21))
        assert await session.scalar(select(func.count()).select_from(RateLimit)) == 0


@pytest.mark.parametrize("rate", ["", "5", "0/minute", "5/week", "-1/minute", "5 / minute"])
def test_a_rate_that_is_none(rate: str) -> None:
    with pytest.raises(ValueError, match="is not a rate"):
        Rate.parse(rate)
