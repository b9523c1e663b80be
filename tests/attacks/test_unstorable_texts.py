"""Attempts to send the character NUL, or half of a surrogate pair, in any text at any door."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
)

from coe.api.schema import make_schema
from coe.demo.api import create_demo_app
from coe.embedded_postgres import EmbeddedPostgres
from tests.factories.api import Api
from tests.factories.shared import shared_settings

pytestmark = pytest.mark.asyncio(loop_scope="module")

SCHEMA = make_schema()._schema
FIELDS = {
    f"{kind.name}.{name}": field
    for kind in (SCHEMA.query_type, SCHEMA.mutation_type)
    if kind is not None
    for name, field in kind.fields.items()
    if field.args
}
OTHERS = {"Int", "Float", "Boolean"}
BAD, HALF = "a\x00b", "\ud800"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def door(
    postgres: EmbeddedPostgres,
    template_database: str,
    content_folder: Path,
    keys_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Api]:
    folder = tmp_path_factory.mktemp("texts")
    async with shared_settings(
        postgres, template_database, folder, content_folder, keys_folder
    ) as settings:
        app = create_demo_app(settings)
        async with app.router.lifespan_context(app):
            yield Api(app)


def filled(kind: Any, text: str, above: tuple[str, ...] = ()) -> Any:
    """A value of a type with a text wherever it can have one; None where it has none."""
    if isinstance(kind, GraphQLNonNull):
        return filled(kind.of_type, text, above)
    if isinstance(kind, GraphQLList):
        inner = filled(kind.of_type, text, above)
        return None if inner is None else [inner]
    if isinstance(kind, GraphQLInputObjectType):
        if kind.name in above:
            return None
        inner = {
            name: filled(each.type, text, (*above, kind.name)) for name, each in kind.fields.items()
        }
        return {name: value for name, value in inner.items() if value is not None} or None
    if kind.name == "JSON":
        return {"in": [text]}
    return None if kind.name in OTHERS or isinstance(kind, GraphQLEnumType) else text


def values(arguments: dict[str, GraphQLArgument], text: str) -> dict[str, Any]:
    found = {name: filled(each.type, text) for name, each in arguments.items()}
    return {name: value for name, value in found.items() if value is not None}


def leaves(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, str):
        yield path
    for name, each in value.items() if isinstance(value, dict) else ():
        yield from leaves(each, f"{path}/{name}")
    for index, each in enumerate(value if isinstance(value, list) else ()):
        yield from leaves(each, f"{path}/{index}")


def literal(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {literal(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(literal, value)) + "]"
    return json.dumps(value)


def documents(name: str, text: str) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
    """The request with variables, the one with literals, and where the texts are."""
    kind, _, field = name.partition(".")
    given = values(FIELDS[name].args, text)
    declared = ", ".join(f"${each}: {FIELDS[name].args[each].type}" for each in given)
    passed = ", ".join(f"{each}: ${each}" for each in given)
    written = ", ".join(f"{each}: {literal(value)}" for each, value in given.items())
    word = kind.lower()
    return (
        {"query": f"{word} ({declared}) {{ {field}({passed}) }}", "variables": given},
        {"query": f"{word} {{ {field}({written}) }}"},
        list(leaves(given, "/variables")),
    )


WITH_TEXTS = [name for name in FIELDS if documents(name, BAD)[2]]


async def problems(door: Api, body: dict[str, Any]) -> list[dict[str, Any]]:
    async with door.client("demo-coe-lead") as client:
        headers = {"Content-Type": "application/json"}
        response = await client.post("/graphql", content=json.dumps(body), headers=headers)
    [error] = response.json()["errors"]
    assert error["extensions"]["code"] == "INVALID"
    found: list[dict[str, Any]] = error["extensions"]["problems"]
    return found


@pytest.mark.parametrize("name", WITH_TEXTS)
async def test_nul_in_every_argument_and_field_of_an_input(door: Api, name: str) -> None:
    by_variables, by_literals, places = documents(name, BAD)
    found = await problems(door, by_variables)
    assert {each["code"] for each in found} == {"INPUT_TEXT"}
    assert sorted(each["path"] for each in found) == sorted(places)
    found = await problems(door, by_literals)
    assert {(each["code"], each["path"], each["line"]) for each in found} == {
        ("INPUT_TEXT", "/query", 1)
    }
    assert len({each["column"] for each in found}) == len(places)


async def test_half_of_a_surrogate_pair_in_every_argument(door: Api) -> None:
    """The text of a request is read before it has a meaning, so some arguments stand for all."""
    for name in WITH_TEXTS[::10]:
        by_variables, by_literals, _ = documents(name, HALF)
        [found] = await problems(door, by_variables)
        assert found["code"] == "INPUT_JSON"
        assert "line 1, column" in found["message"]
        [found] = await problems(door, by_literals)
        assert (found["code"], found["path"]) == ("INPUT_SYNTAX", "/query")


async def test_a_text_without_it_is_taken(door: Api) -> None:
    """The attempts would prove nothing if everything were refused so."""
    async with door.client("demo-coe-lead") as client:
        body = {
            "query": "query ($text: String) { catalog(search: $text) { totalCount } }",
            "variables": {"text": r"a\u0000b"},  # a backslash, which is no escape
        }
        response = await client.post("/graphql", json=body)
    assert response.json() == {"data": {"catalog": {"totalCount": 0}}}


EVENT = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t"}
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
SCIM = {"Content-Type": "application/scim+json"}
DOORS: dict[str, tuple[str, str, dict[str, str], Any]] = {
    "an event": (
        "POST",
        "/events",
        {"Content-Type": "application/cloudevents+json"},
        EVENT | {"subject": BAD},
    ),
    "the data of an event": (
        "POST",
        "/events",
        {"Content-Type": "application/cloudevents+json"},
        EVENT | {"data": {BAD: 1}},
    ),
    "a batch of events": (
        "POST",
        "/events",
        {"Content-Type": "application/cloudevents-batch+json"},
        [EVENT | {"data": [BAD]}],
    ),
    "an event in headers": (
        "POST",
        "/events",
        JSON | {f"ce-{name}": value for name, value in EVENT.items()} | {"ce-subject": "a%00b"},
        {},
    ),
    "the data of an event in headers": (
        "POST",
        "/events",
        JSON | {f"ce-{name}": value for name, value in EVENT.items()},
        {"a": BAD},
    ),
    "an account": ("POST", "/scim/v2/Users", SCIM, {"userName": "a", "displayName": BAD}),
    "a group": ("POST", "/scim/v2/Groups", SCIM, {"displayName": BAD}),
    "a filter of accounts": ("GET", "/scim/v2/Users?filter=userName+eq+%22a%00%22", {}, None),
    "an account's key": ("GET", "/scim/v2/Users/a%00b", {}, None),
    "a form for a token": ("POST", "/auth/token", FORM, "grant_type=client_credentials&a=%00"),
    "a form's name": ("POST", "/auth/token", FORM, "grant_type=x&a%00=1"),
    "an enrolment": ("POST", "/auth/workers", JSON, {"team": BAD}),
    "the filter of an export": ("GET", "/audit/bundle?correlationId=a%00b", {}, None),
    "a page": ("GET", "/auth?return=%00", {}, None),
}


@pytest.mark.parametrize("what", DOORS)
async def test_nul_at_a_door_that_is_not_graphql(door: Api, what: str) -> None:
    method, path, headers, body = DOORS[what]
    content = body if isinstance(body, str) else json.dumps(body)
    async with door.client("demo-coe-lead") as client:
        response = await client.request(
            method, path, headers=headers, content=None if body is None else content
        )
    assert response.status_code in {400, 422}, response.text
    assert "NUL" in response.text or "control characters" in response.text, response.text
