"""How often a subject or an address may do what costs us much, counted in the database.

A counter is a bucket that drains steadily (the generic cell rate algorithm): one row holds the time
at which it will be empty, and one statement checks and moves that time, so any number of processes
share it. There are no windows at whose edge twice the amount passes.

Counters are not logged by PostgreSQL: after a crash of the database all buckets are empty.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Self

from sqlalchemy import Column, DateTime, delete, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import Field, SQLModel, col

from coe.db import Database
from coe.errors import RateLimited

NOTE_PERIOD: Final = timedelta(minutes=1)
"""Within this time one event says that a counter refuses, however often it does."""

_FORM: Final = re.compile(r"([1-9]\d{0,8})/(second|minute|hour|day)")
_SECONDS: Final = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}

_TAKE: Final = text("""
    INSERT INTO rate_limits AS counter (key, empty_at)
    VALUES (:key, CAST(:now AS timestamptz) + CAST(:takes AS interval))
    ON CONFLICT (key) DO UPDATE
    SET empty_at = GREATEST(counter.empty_at, CAST(:now AS timestamptz)) + CAST(:takes AS interval)
    WHERE GREATEST(counter.empty_at, CAST(:now AS timestamptz)) + CAST(:takes AS interval)
          <= CAST(:now AS timestamptz) + CAST(:period AS interval)
    RETURNING empty_at
""")
_NOTE: Final = text("""
    UPDATE rate_limits AS counter
    SET noted_at = CASE WHEN old.is_news THEN :now ELSE counter.noted_at END
    FROM (SELECT key, COALESCE(noted_at <= CAST(:now AS timestamptz)
                                           - CAST(:note_period AS interval), TRUE) AS is_news
          FROM rate_limits WHERE key = :key FOR UPDATE) AS old
    WHERE counter.key = old.key
    RETURNING counter.empty_at, old.is_news
""")


class Limited(StrEnum):
    """What is limited."""

    CHECK = "check"
    """Checks, previews and tests of what a caller sends."""
    ENROLMENT = "enrolment"
    """Codes with which a worker enrols, and that are wrong."""
    EXPORT = "export"
    """Exports of the audit log."""
    QUERY = "query"
    """The cost of GraphQL operations, as `coe.api.graphql.limits` measures it."""
    REFUSED_CREDENTIAL = "refused_credential"
    """Requests whose credential is refused."""
    SIGN_IN = "sign_in"
    """Attempts to sign in, of people and of machines."""


DEFAULTS: Final[Mapping[Limited, str]] = {
    Limited.CHECK: "240/minute",
    Limited.ENROLMENT: "10/hour",
    Limited.EXPORT: "30/hour",
    Limited.QUERY: "200000/minute",
    Limited.REFUSED_CREDENTIAL: "60/minute",
    Limited.SIGN_IN: "120/minute",
}
BY_ADDRESS: Final = 5
"""An address may have so many times the amount of a subject: several people share one."""


@dataclass(frozen=True, slots=True)
class Rate:
    """An amount in a period, all of which may be taken at once."""

    amount: int
    period: timedelta

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a rate such as `240/minute`.

        Raises:
            ValueError: It is not `<amount>/<second|minute|hour|day>`.
        """
        match = _FORM.fullmatch(text)
        if match is None:
            message = f"{text!r} is not a rate: write an amount and a period, such as 240/minute"
            raise ValueError(message)
        return cls(int(match[1]), timedelta(seconds=_SECONDS[match[2]]))

    def takes(self, amount: int) -> timedelta:
        """The time in which so much drains."""
        return self.period * min(amount, self.amount) / self.amount


class RateLimit(SQLModel, table=True):
    """A counter. `key` is a digest of what is limited and whose; `empty_at` is when it is empty.

    `noted_at` is when an event last said that it refuses.
    """

    __tablename__ = "rate_limits"
    __table_args__ = ({"prefixes": ["UNLOGGED"]},)

    key: bytes = Field(primary_key=True)
    empty_at: datetime = Field(
        sa_column=Column(DateTime(timezone=True), nullable=False, index=True)
    )
    noted_at: datetime | None = Field(
        default=None, sa_column=Column(DateTime(timezone=True), nullable=True)
    )


class Exceeded(RateLimited):
    """A counter that refuses; `is_news` if no event of the last minute has said so."""

    def __init__(self, limited: Limited, *, seconds: int, is_news: bool) -> None:
        message = f"There were too many attempts ({limited}); try again after {seconds} s."
        super().__init__(message, limit=limited.value, retry_after=seconds)
        self.limited = limited
        self.is_news = is_news


@dataclass(frozen=True, slots=True)
class RateLimits:
    """The limits of an installation; a limit that is absent does not limit."""

    database: Database
    rates: Mapping[Limited, Rate]

    @classmethod
    def of(cls, database: Database, changed: Mapping[str, str]) -> Self:
        """The defaults with what the settings change; `off` removes a limit.

        Raises:
            ValueError: A name or a rate is not valid.
        """
        texts = {**DEFAULTS, **{Limited(name): rate for name, rate in changed.items()}}
        return cls(
            database,
            {name: Rate.parse(rate) for name, rate in texts.items() if rate != "off"},
        )

    async def take(
        self,
        limited: Limited,
        *,
        now: datetime,
        subject: str | None = None,
        address: str | None = None,
        amount: int = 1,
    ) -> None:
        """Take an amount for a subject, and for the address from which it comes.

        Args:
            limited: What is done.
            now: The time of the call, in UTC.
            subject: Who does it; None before that is known.
            address: The network address of the client.
            amount: How much is done; more than the whole rate counts as the whole.

        Raises:
            Exceeded: One of the two has taken too much.
        """
        rate = self.rates.get(limited)
        if rate is None:
            return
        wider = Rate(rate.amount * (BY_ADDRESS if subject else 1), rate.period)
        async with self.database.session() as session:
            if subject is not None:
                await _take(session, limited, f"subject {subject}", rate, amount, now)
            if address is not None:
                await _take(session, limited, f"address {address}", wider, amount, now)
            await session.commit()

    async def is_first(self, what: str, period: timedelta, *, now: datetime) -> bool:
        """Whether this is the first time within the period that something is said to happen."""
        key = hashlib.sha256(f"first {what}".encode()).digest()
        values = {"key": key, "now": now, "takes": period, "period": period}
        async with self.database.session() as session:
            is_first = (await session.execute(_TAKE, values)).one_or_none() is not None
            await session.commit()
        return is_first


async def forget_empty(session: AsyncSession, now: datetime) -> None:
    """Delete the counters that are empty; the caller commits."""
    await session.execute(delete(RateLimit).where(col(RateLimit.empty_at) < now))


async def _take(  # noqa: PLR0917  # one row and how much of it
    session: AsyncSession, limited: Limited, whose: str, rate: Rate, amount: int, now: datetime
) -> None:
    key = hashlib.sha256(f"{limited} {whose}".encode()).digest()
    values = {"key": key, "now": now, "takes": rate.takes(amount), "period": rate.period}
    if (await session.execute(_TAKE, values)).one_or_none() is not None:
        return
    noted = {"key": key, "now": now, "note_period": NOTE_PERIOD}
    row = (await session.execute(_NOTE, noted)).one_or_none()
    await session.commit()
    after = row.empty_at + rate.takes(amount) - rate.period - now if row else timedelta()
    seconds = max(1, math.ceil(after.total_seconds()))
    raise Exceeded(limited, seconds=seconds, is_news=row is not None and row.is_news)
