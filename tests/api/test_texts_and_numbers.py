"""What cannot be kept as it was sent is refused where it stands, at every door of HTTP."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.factories.api import Api
from tests.factories.runs import central

BIG = "9" * 400
HALF = '"\\ud800"'
DEEP = "[" * 3000 + "]" * 3000
START = 'mutation ($data: JSON!) { startRun(input: {flow: "a/b", input: $data}) { run { id } } }'
SEARCH = """
query ($of: CatalogFilter, $text: String) {
  catalog(filter: $of, search: $text, first: 1) { totalCount }
}
"""
REGISTER = """
mutation ($manifest: String!) {
  registerFlow(input: {manifest: $manifest}) { problems { code message line column } }
}
"""
CANCEL = 'mutation { cancelRun(input: {run: "x", reason: "a\\u0000b"}) { run { id } } }'
NUL = "The text has the character NUL, which cannot be stored"

STRUCTURED = "application/cloudevents+json"
BATCHED = "application/cloudevents-batch+json"
EVENT = '{"specversion":"1.0","id":"%s","source":"/s","type":"t","data":{"a":%s}}'
BINARY = {
    "Content-Type": "application/json",
    "ce-specversion": "1.0",
    "ce-source": "/s",
    "ce-type": "t",
}


@pytest.fixture
async def client(still_api: Api) -> AsyncIterator[httpx.AsyncClient]:
    async with still_api.client("demo-sales-owner") as client:
        yield client


async def graphql(
    client: httpx.AsyncClient, query: str, variables: str = "{}", *, before: str = ""
) -> dict[str, Any]:
    """The answer to a query with variables as a text of JSON."""
    body = f'{before}{{"query": {json.dumps(query)},\n"variables": {variables}}}'
    headers = {"Content-Type": "application/json"}
    response = await client.post("/graphql", content=body.encode(), headers=headers)
    answer: dict[str, Any] = response.json()
    return answer


def of_graphql(answer: dict[str, Any]) -> list[tuple[str, str | None]]:
    [error] = answer["errors"]
    assert error["extensions"]["code"] == "INVALID"
    return [(each["message"], each.get("path")) for each in error["extensions"]["problems"]]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (BIG, "A whole number has more than 64 bits and would be rounded: write it as text"),
        ("18446744073709551616", "A whole number has more than 64 bits"),
        (HALF, "Half of a surrogate pair is not a character"),
        (DEEP, "It is nested too deep"),
        ("1e400", "A number is too large"),
        ("NaN", "It is not JSON: unexpected character"),
    ],
    ids=lambda value: value[:12],
)
async def test_a_value_that_cannot_be_kept(
    client: httpx.AsyncClient, value: str, message: str
) -> None:
    [(found, _)] = of_graphql(await graphql(client, START, f'{{"data": {{"a": {value}}}}}'))
    assert message in found
    assert "(line 2, column " in found
    sent: list[tuple[dict[str, str], str]] = [
        ({"Content-Type": STRUCTURED}, EVENT % ("1", value)),
        ({"Content-Type": BATCHED}, "[" + EVENT % ("2", value) + "]"),
        (BINARY | {"ce-id": "3"}, f'{{"a": {value}}}'),
    ]
    for headers, text in sent:
        response = await client.post("/events", content=text.encode(), headers=headers)
        assert response.status_code == 400
        [error] = response.json()["errors"]
        assert error["detail"].startswith("the body cannot be read: ")
        assert message in error["detail"]
        assert "line 1, column " in error["detail"]


async def test_what_64_bits_hold_is_taken_and_so_is_a_byte_order_mark(
    client: httpx.AsyncClient,
) -> None:
    answer = await graphql(client, START, '{"data": [18446744073709551615]}', before="\ufeff")
    assert answer["errors"][0]["extensions"]["code"] == "NOT_FOUND"
    for number, (headers, text) in enumerate(
        (
            ({"Content-Type": STRUCTURED}, EVENT),
            ({"Content-Type": BATCHED}, f"[{EVENT}]"),
        )
    ):
        content = "\ufeff" + text % (f"m{number}", "18446744073709551615")
        response = await client.post("/events", content=content.encode(), headers=headers)
        assert response.status_code == 202, response.text
    headers = BINARY | {"ce-id": "m"}
    response = await client.post("/events", content='\ufeff{"a": 1}'.encode(), headers=headers)
    assert response.status_code == 202, response.text


async def test_a_text_that_is_stored_as_it_is_has_no_nul(client: httpx.AsyncClient) -> None:
    variables = r'{"of": {"tags": ["a", "b\u0000"]}, "text": "\u0000"}'
    assert of_graphql(await graphql(client, SEARCH, variables)) == [
        (NUL, "/variables/of/tags/1"),
        (NUL, "/variables/text"),
    ]
    assert of_graphql(await graphql(client, CANCEL)) == [(NUL, "/query")]
    # So it is in the data of runs: a database that finds or compares it could not.
    answer = await graphql(client, START, r'{"data": ["\u0000"]}')
    assert of_graphql(answer) == [(NUL, "/variables/data/0")]
    response = await client.post(
        "/events", content=EVENT % ("n", r'"\u0000"'), headers={"Content-Type": STRUCTURED}
    )
    assert response.status_code == 400
    [error] = response.json()["errors"]
    assert (error["code"], error["pointer"]) == ("INPUT_TEXT", "/data/a")


async def test_a_document_with_nul_is_refused_where_it_stands(client: httpx.AsyncClient) -> None:
    text = central("nul", "  - keep: {set: {a: 1}}").replace("title: Nul", 'title: "a\\0b"')
    manifest = json.dumps({"manifest": text})
    answer = await graphql(client, REGISTER, manifest)
    [problem] = answer["data"]["registerFlow"]["problems"]
    assert (problem["code"], problem["line"], problem["column"]) == ("OWS006", 7, 10)
    assert problem["message"] == "the character NUL cannot be stored"
