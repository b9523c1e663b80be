"""Calls of OpenAPI operations: the same API in three versions of OpenAPI, and large documents."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import orjson
import pytest
from starlette.applications import Starlette

from coe.language.openapi.document import OpenApiDocument
from coe.leaves.caches import MAX_DOCUMENTS, DocumentCache
from coe.leaves.leaf import LeafIO
from coe.leaves.run import run_leaf
from coe.machine.commands import RunLeaf
from tests.factories.http_service import BASE, fails, service

__all__ = ["service"]

FOLDER = Path(__file__).parent / "openapi"
FILES = ["orders-2.0.yaml", "orders-3.0.yaml", "orders-3.1.json"]
Service = tuple[LeafIO, Starlette]


def op(name: str, document: str = FILES[1], **more: Any) -> RunLeaf:
    command = {
        key: more.pop(key)
        for key in ("authentication", "document_authentication", "secrets", "traceparent", "team")
        if key in more
    }
    arguments = {
        "operationId": name,
        "document": f"https://erp.example/documents/{document}",
        "parameters": more.pop("parameters", {}),
        "output": "content",
        **more,
    }
    return RunLeaf("k" * 64, "/do/0/call", "call", "openapi", arguments, **command)


async def sent(service: Service, name: str, document: str = FILES[1], **parameters: Any) -> Any:
    return await run_leaf(op(name, document, parameters=parameters), service[0])


@pytest.fixture(params=FILES)
def document(request: pytest.FixtureRequest) -> str:
    return str(request.param)


# ---------------------------------------------------------------- the same in all versions
async def test_a_parameter_of_the_path(service: Service, document: str) -> None:
    answer = await sent(service, "getOrder", document, orderId="A/1 ä")
    assert (answer["method"], answer["path"]) == ("GET", "/echo/v1/orders/A%2F1%20%C3%A4")
    assert answer["headers"]["idempotency-key"] == "k" * 64
    assert answer["body"] == ""


async def test_parameters_of_query_and_header(service: Service, document: str) -> None:
    answer = await sent(
        service,
        "listOrders",
        document,
        **{
            "state": ["open", "sent"],
            "sku": ["a,b", "c"],
            "region": ["eu", "us"],
            "words": ["x", "y z"],
            "X-Team": "sales",
            "X-Api-Key": "canary-0001",
        },
    )
    assert answer["query"] == ("state=open&state=sent&sku=a%2Cb,c&region=eu%7Cus&words=x%20y%20z")
    assert answer["headers"]["x-team"] == "sales"
    assert answer["headers"]["x-api-key"] == "canary-0001"


async def test_a_body_as_a_whole_or_by_its_properties(service: Service, document: str) -> None:
    whole = await sent(service, "createOrder", document, body={"sku": "A1", "more": True})
    assert json.loads(whole["body"]) == {"sku": "A1", "more": True}
    assert whole["headers"]["content-type"] == "application/json"
    apart = await sent(service, "createOrder", document, sku="A1", amount=2, parent=None)
    assert json.loads(apart["body"]) == {"sku": "A1", "amount": 2}


async def test_a_form(service: Service, document: str) -> None:
    answer = await sent(service, "addNote", document, orderId=7, text="a b", tags=["x", "y"])
    assert answer["headers"]["content-type"] == "application/x-www-form-urlencoded"
    assert sorted(answer["body"].split("&")) == ["tags=x", "tags=y", "text=a+b"]
    assert answer["path"].endswith("/orders/7/notes")


async def test_outputs_and_redirects_are_those_of_http(service: Service, document: str) -> None:
    io, _ = service
    raw: Any = await run_leaf(
        op("getOrder", document, parameters={"orderId": "1"}, output="raw"), io
    )
    assert json.loads(base64.b64decode(raw))["path"] == "/echo/v1/orders/1"
    response: Any = await run_leaf(
        op("getOrder", document, parameters={"orderId": "1"}, output="response"), io
    )
    assert response["statusCode"] == 200
    assert response["request"]["uri"].startswith("http")
    assert response["request"]["uri"].endswith("://erp.example/echo/v1/orders/1")


async def test_missing_and_unknown_parameters_and_operations(
    service: Service, document: str
) -> None:
    io, _ = service
    missing = await fails(op("getOrder", document), io)
    assert (missing["type"], missing["status"]) == (f"{BASE}validation", 400)
    assert missing["detail"] == "the parameter `orderId` (path) is missing"
    assert missing["instance"] == "/do/0/call"
    given = {"orderId": "1", "ordrId": 2}
    unknown = await fails(op("getOrder", document, parameters=given), io)
    assert unknown["detail"] == "there is no parameter `ordrId`, did you mean `orderId`?"
    body = await fails(op("createOrder", document), io)
    assert "is missing" in body["detail"]
    none = await fails(op("getOrders", document), io)
    assert (none["type"], none["status"]) == (f"{BASE}configuration", 400)
    assert none["detail"] == "it has no operation `getOrders`, did you mean `getOrder`?"


async def test_authentication_is_that_of_the_call(service: Service, document: str) -> None:
    io, _ = service
    command = op(
        "getOrder",
        document,
        parameters={"orderId": "1"},
        authentication={"basic": {"username": "ann", "password": "canary-0001"}},
    )
    answer: Any = await run_leaf(command, io)
    pair = base64.b64encode(b"ann:canary-0001").decode()
    assert answer["headers"]["authorization"] == f"Basic {pair}"


# ---------------------------------------------------------------- 2.0
async def test_2_0_lists_in_forms_are_joined(service: Service) -> None:
    answer = await sent(service, "addNote", FILES[0], orderId=7, text="a", marks=["x", "y"])
    assert unquote(answer["body"]) == "marks=x,y&text=a"
    error = await fails(op("addNote", FILES[0], parameters={"orderId": 7}), service[0])
    assert error["detail"] == "the parameter `text` (formData) is missing"


async def test_2_0_the_body_has_a_name_and_https_goes_first(service: Service) -> None:
    io, _ = service
    command = op("createOrder", FILES[0], parameters={"order": {"sku": "A1"}}, output="response")
    response: Any = await run_leaf(command, io)
    assert json.loads(response["content"]["body"]) == {"sku": "A1"}
    assert response["request"]["uri"] == "https://erp.example/echo/v1/orders"
    assert response["request"]["headers"]["accept"] == "application/json, */*;q=0.1"


# ---------------------------------------------------------------- 3.x
async def test_3_0_styles_of_paths(service: Service) -> None:
    answer = await sent(
        service, "styles", flat=["a", "b/c"], dots={"x": 1, "y": 2}, params=["p", "q"]
    )
    assert answer["path"] == "/echo/v1/labels/a,b%2Fc/.x=1.y=2/;params=p;params=q"


async def test_3_0_objects_media_types_and_cookies(service: Service) -> None:
    answer = await sent(
        service,
        "listOrders",
        filter={"state": "open", "at": {"from": 1}},
        where={"a": [1]},
        next="/x?y=1",
        session="s 1",
    )
    assert unquote(answer["query"]) == (
        'filter[state]=open&filter[at][from]=1&where={"a":[1]}&next=/x?y=1'
    )
    assert answer["headers"]["cookie"] == "session=s%201"


async def test_3_0_servers_of_the_operation_and_of_the_path(service: Service) -> None:
    inner = await sent(service, "dropOrder", orderId="9", **{"query.orderId": "8"})
    assert (inner["method"], inner["path"], inner["query"]) == (
        "DELETE",
        "/echo/internal/orders/9",
        "orderId=8",
    )
    relative = await sent(service, "addNote", orderId="9", text="t")
    assert relative["path"] == "/echo/relative/orders/9/notes"


async def test_3_0_text_and_multipart(service: Service) -> None:
    label = await sent(service, "printLabel", orderId="1", body="To Ann")
    assert (label["body"], label["headers"]["content-type"]) == ("To Ann", "text/plain")
    file = await sent(service, "addFile", orderId="1", about={"a": 1})
    assert file["headers"]["content-type"].startswith("multipart/form-data; boundary=")
    assert '{"a":1}' in file["body"]


@pytest.mark.parametrize(
    ("name", "detail"),
    [
        ("outside", "`other.yaml#/parameters/orderId` refers to another document"),
        ("circle", "leads to itself"),
        ("nowhere", "leads to nothing"),
        ("twice", "several operations `twice`: HEAD /broken and PATCH /broken"),
    ],
)
async def test_operations_that_cannot_be_called(service: Service, name: str, detail: str) -> None:
    error = await fails(op(name), service[0])
    assert (error["type"], error["status"]) == (f"{BASE}configuration", 400)
    assert detail in error["detail"]


@pytest.mark.parametrize("value", ["..", ".", ""])
async def test_a_path_with_dot_segments_is_refused(service: Service, value: str) -> None:
    error = await fails(op("getOrder", parameters={"orderId": value}), service[0])
    assert (error["type"], error["status"]) == (f"{BASE}validation", 400)


# ---------------------------------------------------------------- the document
async def test_a_document_is_fetched_once_for_each_cache_and_team(service: Service) -> None:
    io, app = service
    for _ in range(3):
        await run_leaf(op("getOrder", parameters={"orderId": "1"}), io)
    assert len(app.state.fetched) == 1
    other = replace(io, documents=DocumentCache())
    await run_leaf(op("getOrder", parameters={"orderId": "1"}), other)
    await run_leaf(op("getOrder", parameters={"orderId": "1"}, team="finance"), other)
    assert len(app.state.fetched) == 3


def test_the_document_cache_is_bounded_and_drops_changed_documents() -> None:
    documents = DocumentCache()
    made = OpenApiDocument({"openapi": "3.1.0"})
    for number in range(MAX_DOCUMENTS + 1):
        documents.put(str(number).encode(), b"d", 10, made)
    assert documents.get(b"0") is None
    assert documents.get(b"1") is made
    assert documents.renew(b"1", b"other") is None
    assert documents.renew(b"1", b"d") is made
    documents.put(b"large", b"d", 29_999_990, made)
    assert documents.get(b"large") is made
    assert documents.get(b"2") is None


async def test_a_document_has_its_own_authentication(service: Service) -> None:
    io, app = service
    command = op(
        "getOrder",
        parameters={"orderId": "1"},
        document_authentication={"bearer": {"token": "canary-doc1"}},
        authentication={"bearer": {"token": "canary-call"}},
    )
    await run_leaf(command, io)
    assert app.state.fetched == ["Bearer canary-doc1"]


@pytest.mark.parametrize(
    ("name", "detail"),
    [
        ("text", "it is not an object"),
        ("broken", "it is neither JSON nor YAML"),
        ("none", "it does not name its version of OpenAPI"),
        ("old", "it is of OpenAPI 1.2"),
        ("tagged", "it does not name its version of OpenAPI"),
        ("large", "as YAML larger than"),
    ],
)
async def test_invalid_documents(service: Service, name: str, detail: str) -> None:
    error = await fails(op("getOrder", f"made/{name}"), service[0])
    assert (error["type"], error["status"]) == (f"{BASE}configuration", 400)
    assert detail in error["detail"]


async def test_a_document_that_is_missing_or_cannot_be_reached(service: Service) -> None:
    io, _ = service
    gone = await fails(op("getOrder", "nothing.json"), io)
    assert (gone["type"], gone["status"]) == (f"{BASE}communication", 404)
    command = op("getOrder")
    assert isinstance(command.arguments, dict)
    inside = replace(
        command, arguments={**command.arguments, "document": "http://127.0.0.1/openapi.json"}
    )
    refused = await fails(inside, io)
    assert (refused["type"], refused["status"]) == (f"{BASE}authorization", 403)


async def test_a_document_at_a_private_address_is_refused(service: Service) -> None:
    refused = await fails(op("getOrder", "made/inside"), service[0])
    assert (refused["type"], refused["status"]) == (f"{BASE}authorization", 403)
    assert refused["title"] == "Flows may not reach 169.254.169.254"


async def test_a_large_document(service: Service) -> None:
    """Two thousand operations over shared, recursive components, like public documents."""
    io, app = service
    paths = {
        f"/things/{{id}}/part{number}": {
            "parameters": [{"$ref": "#/components/parameters/id"}],
            "post": {
                "operationId": f"things/part-{number}",
                "description": "What it does. " * 40,
                "requestBody": {"$ref": "#/components/requestBodies/thing"},
                "responses": {"200": {"$ref": "#/components/responses/thing"}},
            },
        }
        for number in range(2000)
    }
    node = {"type": "object", "properties": {"next": {"$ref": "#/components/schemas/node"}}}
    thing = {"application/json": {"schema": {"$ref": "#/components/schemas/node"}}}
    app.state.large = orjson.dumps(
        {
            "openapi": "3.0.3",
            "servers": [{"url": "https://erp.example/echo"}],
            "paths": paths,
            "components": {
                "parameters": {"id": {"name": "id", "in": "path", "schema": {}}},
                "requestBodies": {"thing": {"content": thing}},
                "responses": {"thing": {"description": "It", "content": thing}},
                "schemas": {"node": node},
            },
        }
    )
    assert len(app.state.large) > 1_000_000
    command = op("things/part-1999", "large", parameters={"id": 1, "next": {"next": {}}})
    answer: Any = await run_leaf(command, io)
    assert answer["path"] == "/echo/things/1/part1999"
    assert json.loads(answer["body"]) == {"next": {"next": {}}}
    error = await fails(op("things/part-1999x", "large"), io)
    assert "did you mean `things/part-1999`?" in error["detail"]


def test_a_document_of_another_project() -> None:
    """All operations of the Prefect server, whose document FastAPI generates."""
    from prefect.server.api.server import create_app  # noqa: PLC0415  # it is slow to import

    data = create_app(ephemeral=True).openapi()
    document = OpenApiDocument(json.loads(json.dumps(data)), "https://prefect.example/openapi.json")
    names = [
        given["operationId"]
        for item in data["paths"].values()
        for method, given in item.items()
        if method != "parameters"
    ]
    assert len(names) > 150
    operations = [document.operation(name) for name in dict.fromkeys(names)]
    assert all(each.servers == ("https://prefect.example/",) for each in operations)
    [made] = [each for each in operations if each.path == "/flows/" and each.method == "POST"]
    assert made.body is not None
    assert {"name", "tags"} <= made.body.properties
