"""What the contenders of `api.py` share: how they are served, and the tables as ORM entities."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import uvicorn
from sqlalchemy import ForeignKey, String, func, select
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


def serve(app: Any, port: int) -> None:
    """Serve with httptools and uvloop, the quickest that uvicorn has."""
    uvicorn.run(app, port=port, http="httptools", loop="uvloop", log_config=None, access_log=False)


class Base(DeclarativeBase):
    """The entities; only the columns that the page or its order needs."""


class Team(Base):
    """A team."""

    __tablename__ = "teams"
    slug: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]


class Entry(Base):
    """An entry of the catalog."""

    __tablename__ = "entries"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String)
    flow_kind: Mapped[str] = mapped_column(String)
    namespace: Mapped[str]
    name: Mapped[str]
    team: Mapped[str] = mapped_column(ForeignKey("teams.slug"))
    title: Mapped[str]
    summary: Mapped[str]
    lifecycle: Mapped[str] = mapped_column(String)


class Version(Base):
    """A version of an entry."""

    __tablename__ = "entry_versions"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    version: Mapped[str]
    digest: Mapped[str]
    published_at: Mapped[datetime | None]


class Alias(Base):
    """A name of a version."""

    __tablename__ = "entry_aliases"
    entry_id: Mapped[UUID] = mapped_column(primary_key=True)
    alias: Mapped[str] = mapped_column(primary_key=True)
    version_id: Mapped[UUID]


def sessions(url: str) -> tuple[AsyncEngine, async_sessionmaker[AsyncSession]]:
    """An engine over the database, and the maker of its sessions, with SQLAlchemy's defaults."""
    engine = create_async_engine(url.replace("postgresql://", "postgresql+asyncpg://", 1))
    return engine, async_sessionmaker(engine, expire_on_commit=False)


async def flows(session: AsyncSession, first: int) -> Sequence[Entry]:
    """The first flows by their titles."""
    query = (
        select(Entry)
        .where(Entry.kind == "FLOW")
        .order_by(func.lower(Entry.title), Entry.id)
        .limit(first)
    )
    return (await session.scalars(query)).all()


async def teams(session: AsyncSession, slugs: Sequence[str]) -> list[Team]:
    """The teams of some slugs, in their order."""
    found = await session.scalars(select(Team).where(Team.slug.in_(slugs)))
    by_slug = {team.slug: team for team in found}
    return [by_slug[slug] for slug in slugs]


async def live_versions(session: AsyncSession, ids: Sequence[UUID]) -> list[Version | None]:
    """The live versions of some entries, in their order."""
    query = (
        select(Alias.entry_id, Version)
        .join(Version, Version.id == Alias.version_id)
        .where(Alias.entry_id.in_(ids), Alias.alias == "live")
    )
    by_entry = dict((await session.execute(query)).tuples().all())
    return [by_entry.get(ident) for ident in ids]
