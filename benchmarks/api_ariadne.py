"""The Ariadne contender of `api.py`: its ASGI application, with the same ORM and DataLoaders."""

from __future__ import annotations

import sys
from typing import Any

import api_serving as tables
from aiodataloader import DataLoader
from ariadne import ObjectType, QueryType, ScalarType, make_executable_schema
from ariadne.asgi import GraphQL

_SCHEMA = """
scalar DateTime
type Query { flows(first: Int = 20): Flows! }
type Flows { nodes: [Flow!]! }
type Team { slug: String! name: String! }
type Version { version: String! digest: String! publishedAt: DateTime }
type Flow {
  ref: String! title: String! summary: String! lifecycle: String! flowKind: String!
  owner: Team! version: Version
}
"""
_engine, _sessions = tables.sessions(sys.argv[1])
_query = QueryType()
_flow = ObjectType("Flow")
_moment = ScalarType("DateTime", serializer=lambda value: value.isoformat())


async def _teams(slugs: list[str]) -> list[tables.Team]:
    async with _sessions() as session:
        return await tables.teams(session, slugs)


async def _versions(ids: list[Any]) -> list[tables.Version | None]:
    async with _sessions() as session:
        return await tables.live_versions(session, ids)


@_query.field("flows")
async def _flows(_: Any, __: Any, first: int) -> dict[str, Any]:
    async with _sessions() as session:
        return {"nodes": await tables.flows(session, first)}


@_flow.field("ref")
def _ref(entry: tables.Entry, _: Any) -> str:
    return f"{entry.namespace}/{entry.name}"


@_flow.field("owner")
async def _owner(entry: tables.Entry, info: Any) -> Any:
    return await info.context["teams"].load(entry.team)


@_flow.field("version")
async def _version(entry: tables.Entry, info: Any) -> Any:
    return await info.context["versions"].load(entry.id)


def _context(request: Any, _: Any) -> dict[str, Any]:
    return {
        "request": request,
        "teams": DataLoader(_teams),
        "versions": DataLoader(_versions),
    }


if __name__ == "__main__":
    schema = make_executable_schema(_SCHEMA, _query, _flow, _moment, convert_names_case=True)
    tables.serve(GraphQL(schema, context_value=_context), int(sys.argv[2]))
