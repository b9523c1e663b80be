"""The Strawberry contender of `api.py`: as its guide shows it, with FastAPI and DataLoaders."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import Any

import api_serving as tables
import strawberry
from fastapi import FastAPI
from strawberry.dataloader import DataLoader
from strawberry.fastapi import GraphQLRouter

_engine, _sessions = tables.sessions(sys.argv[1])


async def _teams(slugs: list[str]) -> list[tables.Team]:
    async with _sessions() as session:
        return await tables.teams(session, slugs)


async def _versions(ids: list[Any]) -> list[tables.Version | None]:
    async with _sessions() as session:
        return await tables.live_versions(session, ids)


@strawberry.type
class Team:
    """A team."""

    slug: str
    name: str


@strawberry.type
class Version:
    """A version."""

    version: str
    digest: str
    published_at: datetime | None


@strawberry.type
class Flow:
    """A flow."""

    record: strawberry.Private[tables.Entry]
    ref: str
    title: str
    summary: str
    lifecycle: str
    flow_kind: str

    @strawberry.field
    async def owner(self, info: strawberry.Info) -> Team:
        """Its team."""
        team = await info.context["teams"].load(self.record.team)
        return Team(slug=team.slug, name=team.name)

    @strawberry.field
    async def version(self, info: strawberry.Info) -> Version | None:
        """Its live version."""
        found = await info.context["versions"].load(self.record.id)
        if found is None:
            return None
        return Version(version=found.version, digest=found.digest, published_at=found.published_at)


@strawberry.type
class Flows:
    """A page."""

    nodes: list[Flow]


@strawberry.type
class Query:
    """The root."""

    @strawberry.field
    async def flows(self, first: int = 20) -> Flows:
        """The first flows."""
        async with _sessions() as session:
            found = await tables.flows(session, first)
        return Flows(
            nodes=[
                Flow(
                    record=each,
                    ref=f"{each.namespace}/{each.name}",
                    title=each.title,
                    summary=each.summary,
                    lifecycle=each.lifecycle,
                    flow_kind=each.flow_kind,
                )
                for each in found
            ]
        )


async def _context() -> dict[str, Any]:
    return {"teams": DataLoader(load_fn=_teams), "versions": DataLoader(load_fn=_versions)}


if __name__ == "__main__":
    app = FastAPI()
    router = GraphQLRouter(strawberry.Schema(Query), context_getter=_context)
    app.include_router(router, prefix="/graphql")
    tables.serve(app, int(sys.argv[2]))
