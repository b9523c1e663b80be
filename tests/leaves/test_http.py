from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from starlette.applications import Starlette

from coe.leaves.leaf import LeafIO
from coe.leaves.run import run_leaf
from coe.machine.commands import RunLeaf
from tests.factories.http_service import BASE, call, fails, service

__all__ = ["service"]


async def test_the_arguments_make_the_request(service: tuple[LeafIO, Starlette]):
    io, _ = service
    sent: Any = await run_leaf(
        call(
            "https://erp.example/echo?fixed=1",
            "post",
            query={"name": "Ann & Co", "many": [1, 2], "flag": True, "none": None},
            headers={"x-note": "hello", "x-number": 3, "x-none": None},
            body={"a": [1, None]},
        ),
        io,
    )
    assert sent["method"] == "POST"
    assert sent["query"] == "fixed=1&name=Ann+%26+Co&many=1&many=2&flag=true"
    assert json.loads(sent["body"]) == {"a": [1, None]}
    assert sent["headers"]["content-type"] == "application/json"
    assert (sent["headers"]["x-note"], sent["headers"]["x-number"]) == ("hello", "3")
    assert "x-none" not in sent["headers"]


async def test_the_key_of_the_step_and_the_trace_are_sent(service: tuple[LeafIO, Starlette]):
    io, _ = service
    sent: Any = await run_leaf(call("https://erp.example/echo", traceparent="00-11-22-01"), io)
    assert sent["headers"]["idempotency-key"] == "k" * 64
    assert sent["headers"]["traceparent"] == "00-11-22-01"


@pytest.mark.parametrize("method", ["GET", "post", "Put", "PATCH", "delete"])
async def test_any_method(service: tuple[LeafIO, Starlette], method: str):
    io, _ = service
    sent: Any = await run_leaf(call("https://erp.example/echo", method), io)
    assert sent["method"] == method.upper()


async def test_text_and_forms_are_sent_unchanged(service: tuple[LeafIO, Starlette]):
    io, _ = service
    text: Any = await run_leaf(call("https://erp.example/echo", "post", body="plain"), io)
    assert (text["body"], text["headers"]["content-type"]) == ("plain", "text/plain; charset=utf-8")
    headers = {"content-type": "application/x-www-form-urlencoded"}
    form: Any = await run_leaf(
        call("https://erp.example/echo", "post", headers=headers, body={"a b": "c&d", "n": 1}), io
    )
    assert form["body"] == "a+b=c%26d&n=1"
    body = {"many": ["x", 2], "none": None, "deep": {"a": 1}}
    many: Any = await run_leaf(
        call("https://erp.example/echo", "post", headers=headers, body=body), io
    )
    assert many["body"] == "many=x&many=2&deep=%7B%22a%22%3A1%7D"


async def test_other_kinds_of_body(service: tuple[LeafIO, Starlette]):
    io, _ = service

    async def sent(kind: str, body: Any) -> Any:
        headers = {"content-type": kind}
        return await run_leaf(
            call("https://erp.example/echo", "post", headers=headers, body=body), io
        )

    multipart = await sent("multipart/form-data", {'n"m': "text", "deep": {"a": 1}})
    boundary = multipart["headers"]["content-type"].partition("boundary=")[2]
    first, second = multipart["body"].split(f"--{boundary}")[1:3]
    assert 'name="n%22m"' in first
    assert first.endswith("\r\n\r\ntext\r\n")
    assert "Content-Type: application/json" in second
    bytes_ = await sent("application/octet-stream", base64.b64encode(b"raw").decode())
    assert bytes_["body"] == "raw"
    json_ = await sent("application/merge-patch+json", {"a": 1})
    assert (json_["body"], json_["headers"]["content-type"]) == (
        '{"a":1}',
        "application/merge-patch+json",
    )
    error = await fails(
        call(
            "https://erp.example/echo",
            "post",
            headers={"content-type": "image/png"},
            body="no base64",
        ),
        io,
    )
    assert error["type"] == f"{BASE}validation"


async def test_a_base_url_may_have_a_path(service: tuple[LeafIO, Starlette]):
    io, _ = service
    sent: Any = await run_leaf(call("https://deep.example/a%2Fb?x=1"), io)
    assert (sent["path"], sent["query"]) == ("/echo/a%2Fb", "x=1")


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("text", "café"),
        ("bytes", base64.b64encode(b"\x00\xff").decode()),
        ("xml", "<a/>"),
        ("vendor", {"a": 1}),
        ("marked", {"a": 1}),
        ("empty", None),
    ],
)
async def test_content_is_decoded_by_its_type(
    service: tuple[LeafIO, Starlette], kind: str, content: Any
):
    io, _ = service
    assert await run_leaf(call(f"https://erp.example/typed/{kind}"), io) == content


async def test_raw_output_is_the_bytes(service: tuple[LeafIO, Starlette]):
    io, _ = service
    raw = await run_leaf(call("https://erp.example/typed/vendor", output="raw"), io)
    assert raw == base64.b64encode(b'{"a":1}').decode()


async def test_a_response_has_no_credentials(service: tuple[LeafIO, Starlette]):
    io, _ = service
    command = call(
        "https://erp.example/echo?a=1",
        output="response",
        headers={"x-api-key": "canary-0002"},
        authentication={"bearer": {"token": "canary-0001"}},
        secrets=("canary-0001", "canary-0002"),
    )
    response: Any = await run_leaf(command, io)
    assert response["request"]["method"] == "get"
    assert response["request"]["uri"] == "https://erp.example/echo?a=1"
    assert response["request"]["headers"]["authorization"] == "[REDACTED]"
    assert response["request"]["headers"]["x-api-key"] == "[REDACTED]"
    assert response["headers"]["set-cookie"] == "[REDACTED]"
    assert response["headers"]["x-plain"] == "yes"
    assert response["statusCode"] == 200
    assert response["content"]["headers"]["authorization"] == "Bearer [REDACTED]"
    assert "canary" not in json.dumps(response)


@pytest.mark.parametrize("code", [301, 400, 404, 500, 503])
async def test_other_statuses_are_communication_errors(
    service: tuple[LeafIO, Starlette], code: int
):
    io, _ = service
    error = await fails(call(f"https://erp.example/status/{code}"), io)
    assert (error["type"], error["status"]) == (f"{BASE}communication", code)
    assert error["instance"] == "/do/0/call"
    assert error["title"]


async def test_a_redirect_is_a_response_where_the_call_says_so(service: tuple[LeafIO, Starlette]):
    io, _ = service
    command = call("https://erp.example/elsewhere", redirect=True, output="response")
    response: Any = await run_leaf(command, io)
    assert (response["statusCode"], response["headers"]["location"]) == (302, "/echo")
    error = await fails(call("https://erp.example/status/400", redirect=True), io)
    assert error["status"] == 400


async def test_the_error_has_the_title_of_a_problem_document(service: tuple[LeafIO, Starlette]):
    io, _ = service
    error = await fails(call("https://erp.example/problem"), io)
    assert (error["status"], error["title"], error["detail"]) == (422, "Out of stock", "none left")


async def test_invalid_json_is_a_communication_error(service: tuple[LeafIO, Starlette]):
    io, _ = service
    error = await fails(call("https://erp.example/typed/broken"), io)
    assert (error["type"], error["status"]) == (f"{BASE}communication", 502)


@pytest.mark.parametrize("kind", ["numbers", "untyped"])
async def test_a_number_that_would_be_rounded_is_a_communication_error(
    service: tuple[LeafIO, Starlette], kind: str
):
    io, _ = service
    for output in ("content", "response"):
        command = call(f"https://erp.example/typed/{kind}", output=output)
        error = await fails(command, io)
        assert (error["type"], error["status"]) == (f"{BASE}communication", 502)
        assert "64 bits" in error["title"]
    raw: Any = await run_leaf(call(f"https://erp.example/typed/{kind}", output="raw"), io)
    assert base64.b64decode(raw) == b'{"id": 18446744073709551616}'


async def test_a_slow_service_is_a_timeout(service: tuple[LeafIO, Starlette]):
    io, _ = service
    hasty = LeafIO(io.client, resolve=io.resolve, timeout=0.1)
    error = await fails(call("https://erp.example/slow"), hasty)
    assert (error["type"], error["status"]) == (f"{BASE}timeout", 408)


async def test_a_response_that_is_too_large(service: tuple[LeafIO, Starlette]):
    io, _ = service
    small = LeafIO(io.client, resolve=io.resolve, limit=4999)
    error = await fails(call("https://erp.example/large"), small)
    assert (error["type"], error["status"]) == (f"{BASE}communication", 502)
    enough = LeafIO(io.client, resolve=io.resolve, limit=5000)
    assert len(str(await run_leaf(call("https://erp.example/large"), enough))) == 5000


async def test_a_port_without_a_server(service: tuple[LeafIO, Starlette]):
    io, _ = service
    nowhere = LeafIO(io.client, resolve={"erp.example": "http://127.0.0.1:9"})
    error = await fails(call("https://erp.example/echo"), nowhere)
    assert (error["type"], error["status"]) == (f"{BASE}communication", 503)


@pytest.mark.parametrize(
    "arguments",
    [
        {"endpoint": "ftp://erp.example/"},
        {"endpoint": "https://"},
        {"endpoint": "no address"},
        {"endpoint": "https://erp.example/echo", "headers": {"x-bad": "a\r\nx-more: b"}},
    ],
)
async def test_malformed_requests_are_not_sent(
    service: tuple[LeafIO, Starlette], arguments: dict[str, Any]
):
    io, _ = service
    error = await fails(call(**arguments), io)
    assert (error["type"], error["status"]) == (f"{BASE}validation", 400)


async def test_an_unsupported_kind_and_a_handler(service: tuple[LeafIO, Starlette]):
    io, _ = service
    error = await fails(RunLeaf("k", "/do/0/ask", "ask", "decision", {}), io)
    assert (error["type"], error["status"]) == (f"{BASE}configuration", 400)

    async def decide(command: RunLeaf) -> Any:
        return {"asked": command.name, "echo": "canary-0001"}

    able = LeafIO(io.client, handlers={"decision": decide})
    command = RunLeaf("k", "/do/0/ask", "ask", "decision", {}, secrets=("canary-0001",))
    assert await run_leaf(command, able) == {"asked": "ask", "echo": "[REDACTED]"}
