"""No list of the schema costs a statement more because it has more rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from graphql import (
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    get_named_type,
    get_nullable_type,
    is_leaf_type,
    is_list_type,
    is_required_argument,
)
from sqlalchemy import event

from coe.api.graphql import limits
from coe.api.schema import make_schema
from coe.db import DirectConnections
from tests.factories.api import Api, Persona
from tests.factories.api_documents import central
from tests.factories.api_story import publish_welcome

SCHEMA: GraphQLSchema = make_schema()._schema
FEW, MANY = 2, 20
ARGUMENTS = {
    "Query.holdings": '(subject: "sales-owner")',
    "Query.teamChecklist": '(team: "sales")',
    "Query.teamEnding": '(team: "sales")',
}
"""For lists that need arguments."""
OF_AUDITORS = {"auditLog", "auditLosses", "refusedRows"}
ONE_BY_ONE = {
    "FlowVersion.diagram": "drawn from one definition; its weight says so",
    "FlowVersion.diagramSvg": "the same",
    "Run.diagram": "the same",
    "Run.diagramSvg": "the same",
}
"""Fields that read for one row, each with a weight in `coe.api.graphql.limits`."""


def lists() -> Iterator[tuple[str, str]]:
    """Each list of the root, and a document that asks for all of its elements."""
    assert SCHEMA.query_type is not None
    for name, field in SCHEMA.query_type.fields.items():
        place = f"Query.{name}"
        if not is_list(field) or (requires(field) and place not in ARGUMENTS):
            continue
        body = selection(get_named_type(field.type), 2, ())
        yield name, f"{{ {name}{ARGUMENTS.get(place, '')} {{ {body} }} }}"


def is_list(field: GraphQLField) -> bool:
    kind = get_named_type(field.type)
    return is_list_type(get_nullable_type(field.type)) or kind.name.endswith("Connection")


def requires(field: GraphQLField) -> bool:
    return any(is_required_argument(each) for each in field.args.values())


def selection(kind: Any, depth: int, above: tuple[str, ...]) -> str:
    """All fields of a type, and of what they refer to; no type within itself."""
    if isinstance(kind, GraphQLInterfaceType | GraphQLUnionType):
        return " ".join(
            f"... on {each.name} {{ {selection(each, depth, above)} }}"
            for each in SCHEMA.get_possible_types(kind)
        )
    assert isinstance(kind, GraphQLObjectType)
    parts = ["__typename"]
    for name, field in kind.fields.items():
        place, below = f"{kind.name}.{name}", get_named_type(field.type)
        if requires(field) or place in ONE_BY_ONE or below.name in above:
            continue
        alias = f"{kind.name}_{name}: {name}"
        if is_leaf_type(below):
            parts.append(alias)
        elif depth and name != "edges":
            parts.append(f"{alias} {{ {selection(below, depth - 1, (*above, kind.name))} }}")
    return " ".join(parts)


@contextmanager
def counted(api: Api, monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[str]]:
    """How often each statement is sent, by a session or by the driver."""
    seen: Counter[str] = Counter()
    read = DirectConnections.read

    async def noted(self: DirectConnections, statement: str, *arguments: Any) -> list[Any]:
        seen[statement] += 1
        return await read(self, statement, *arguments)

    def note(*about: Any) -> None:
        if "INTO audit_events" not in about[2]:  # each disclosure of data is an event of its own
            seen[about[2]] += 1

    engine = api.services.platform.database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    with monkeypatch.context() as patched:
        patched.setattr(DirectConnections, "read", noted)
        yield seen
    event.remove(engine, "before_cursor_execute", note)


async def fill(owner: Persona, numbers: range) -> None:
    for number in numbers:
        manifest = central().replace("name: welcome", f"name: welcome-{number}")
        await owner.do("registerFlow", "RegisterFlowInput", "flow { ref }", manifest=manifest)
        start = {"flow": "sales/welcome", "input": {"name": "Jane"}}
        await owner.do("startRun", "StartRunInput", "run { id }", **start)


async def statements_of_lists(api: Api, monkeypatch: pytest.MonkeyPatch) -> dict[str, Counter[str]]:
    found = {}
    for name, document in lists():
        who = api.persona("auditor" if name in OF_AUDITORS else "sales-owner")
        await who.send(document)  # loads data keys, and plans
        with counted(api, monkeypatch) as seen:
            answer = await who.send(document)
        assert answer.get("data"), (name, answer)
        found[name] = seen
    return found


async def test_no_list_sends_more_statements_for_more_rows(
    still_api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MAX_ALIASES", "MAX_COST", "MAX_DEPTH", "MAX_DOCUMENT_TOKENS", "COUNTED_COST"):
        monkeypatch.setattr(limits, name, 10**9)
    monkeypatch.setattr("coe.api.graphql.documents.MAX_DOCUMENT_TOKENS", 10**9)
    owner = await publish_welcome(still_api)
    await fill(owner, range(FEW))
    few = await statements_of_lists(still_api, monkeypatch)
    await fill(owner, range(FEW, MANY))
    many = await statements_of_lists(still_api, monkeypatch)
    assert len(few) >= 10, "the lists of the root are found"
    # One more is no statement for each row: a branch that the first rows had not, such as a cache.
    grown = {
        name: many[name].most_common(3)
        for name in few
        if many[name].total() - few[name].total() > (MANY - FEW) // 4
    }
    assert grown == {}
