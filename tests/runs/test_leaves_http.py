from __future__ import annotations

import asyncio
import base64
import hashlib
import ipaddress
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qsl

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from coe.runs.commands import RunLeaf
from coe.runs.leaves import LeafFault, LeafIO, run_leaf
from coe.runs.leaves_transport import is_public, open_client

BASE = "https://open-workflow-specification.org/spec/1.0.0/errors/"


async def echo(request: Request) -> Response:
    body = await request.body()
    return JSONResponse(
        {
            "method": request.method,
            "path": request.scope["raw_path"].decode(),
            "query": request.url.query,
            "headers": dict(request.headers),
            "body": body.decode(),
        },
        headers={"set-cookie": "session=abc", "x-plain": "yes"},
    )


async def status(request: Request) -> Response:
    return Response(status_code=request.path_params["status"])


async def problem(request: Request) -> Response:
    body = json.dumps({"title": "Out of stock", "detail": "none left"})
    return Response(body, 422, media_type="application/problem+json")


async def typed(request: Request) -> Response:
    kinds = {
        "text": (b"caf\xe9", "text/plain; charset=latin-1"),
        "bytes": (b"\x00\xff", "application/octet-stream"),
        "xml": (b"<a/>", "application/xml"),
        "broken": (b"{", "application/json"),
        "vendor": (b'{"a":1}', "application/vnd.company+json"),
        "empty": (b"", "application/json"),
    }
    body, kind = kinds[request.path_params["kind"]]
    return Response(body, headers={"content-type": kind})


async def slow(request: Request) -> Response:
    await asyncio.sleep(30)
    return Response()


async def large(request: Request) -> Response:
    return Response(b"x" * 5000, media_type="text/plain")


async def elsewhere(request: Request) -> Response:
    return RedirectResponse("/echo", 302)


async def digest(request: Request) -> Response:
    given = request.headers.get("authorization", "")
    if not given.startswith("Digest "):
        challenge = 'Digest realm="r", nonce="n", qop="auth", algorithm=MD5'
        return Response(status_code=401, headers={"www-authenticate": challenge})
    parts = dict(part.split("=", 1) for part in given[7:].split(", "))
    values = {name: value.strip('"') for name, value in parts.items()}

    def md5(text: str) -> str:
        return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()

    first = md5("ann:r:canary-0001")
    second = md5(f"GET:{values['uri']}")
    wanted = md5(f"{first}:n:{values['nc']}:{values['cnonce']}:auth:{second}")
    return JSONResponse({"ok": values["response"] == wanted})


async def token(request: Request) -> Response:
    form = dict(parse_qsl((await request.body()).decode()))
    request.app.state.tokens.append({**form, "auth": request.headers.get("authorization")})
    if form.get("client_secret") == "wrong-0001":
        return JSONResponse({"error": "invalid_client"}, 401)
    return JSONResponse({"access_token": "fresh-token-1", "expires_in": 3600})


async def discovery(request: Request) -> Response:
    return JSONResponse({"token_endpoint": "https://login.example/oauth2/token"})


ROUTES = [
    Route("/echo", echo, methods=["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"]),
    Route("/echo/{rest:path}", echo),
    Route("/status/{status:int}", status),
    Route("/problem", problem),
    Route("/typed/{kind}", typed),
    Route("/slow", slow),
    Route("/large", large),
    Route("/elsewhere", elsewhere),
    Route("/digest", digest),
    Route("/oauth2/token", token, methods=["POST"]),
    Route("/.well-known/openid-configuration", discovery),
]


@asynccontextmanager
async def serving(app: Starlette) -> AsyncIterator[str]:
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="off"))
    running = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    server.force_exit = True
    await running


@pytest.fixture
async def service() -> AsyncIterator[tuple[LeafIO, Starlette]]:
    app = Starlette(routes=ROUTES)
    app.state.tokens = []
    async with serving(app) as base, open_client() as client:
        resolve = {"erp.example": base, "login.example": base, "deep.example": f"{base}/echo"}
        yield LeafIO(client, resolve=resolve, timeout=5), app


def call(endpoint: str, method: str = "get", **more: Any) -> RunLeaf:
    leaf = {
        name: more.pop(name)
        for name in ("authentication", "secrets", "traceparent")
        if name in more
    }
    arguments = {"method": method, "endpoint": endpoint, "output": "content", **more}
    return RunLeaf("k" * 64, "/do/0/call", "call", "http", arguments, **leaf)


async def fails(command: RunLeaf, io: LeafIO) -> dict[str, Any]:
    with pytest.raises(LeafFault) as caught:
        await run_leaf(command, io)
    return caught.value.error


async def test_sends_what_the_arguments_say(service: tuple[LeafIO, Starlette]):
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


async def test_hands_on_the_key_of_the_step_and_the_trace(service: tuple[LeafIO, Starlette]):
    io, _ = service
    sent: Any = await run_leaf(call("https://erp.example/echo", traceparent="00-11-22-01"), io)
    assert sent["headers"]["idempotency-key"] == "k" * 64
    assert sent["headers"]["traceparent"] == "00-11-22-01"


@pytest.mark.parametrize("method", ["GET", "post", "Put", "PATCH", "delete"])
async def test_any_method(service: tuple[LeafIO, Starlette], method: str):
    io, _ = service
    sent: Any = await run_leaf(call("https://erp.example/echo", method), io)
    assert sent["method"] == method.upper()


async def test_text_and_forms_go_as_they_are(service: tuple[LeafIO, Starlette]):
    io, _ = service
    text: Any = await run_leaf(call("https://erp.example/echo", "post", body="plain"), io)
    assert (text["body"], text["headers"]["content-type"]) == ("plain", "text/plain; charset=utf-8")
    headers = {"content-type": "application/x-www-form-urlencoded"}
    form: Any = await run_leaf(
        call("https://erp.example/echo", "post", headers=headers, body={"a b": "c&d", "n": 1}), io
    )
    assert form["body"] == "a+b=c%26d&n=1"


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
        ("empty", None),
    ],
)
async def test_content_is_decoded_by_its_type(
    service: tuple[LeafIO, Starlette], kind: str, content: Any
):
    io, _ = service
    assert await run_leaf(call(f"https://erp.example/typed/{kind}"), io) == content


async def test_raw_is_the_bytes(service: tuple[LeafIO, Starlette]):
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


async def test_redirections_pass_where_they_may(service: tuple[LeafIO, Starlette]):
    io, _ = service
    command = call("https://erp.example/elsewhere", redirect=True, output="response")
    response: Any = await run_leaf(command, io)
    assert (response["statusCode"], response["headers"]["location"]) == (302, "/echo")
    error = await fails(call("https://erp.example/status/400", redirect=True), io)
    assert error["status"] == 400


async def test_a_problem_tells_what_is_wrong(service: tuple[LeafIO, Starlette]):
    io, _ = service
    error = await fails(call("https://erp.example/problem"), io)
    assert (error["status"], error["title"], error["detail"]) == (422, "Out of stock", "none left")


async def test_json_that_is_none_is_a_communication_error(service: tuple[LeafIO, Starlette]):
    io, _ = service
    error = await fails(call("https://erp.example/typed/broken"), io)
    assert (error["type"], error["status"]) == (f"{BASE}communication", 502)


async def test_a_service_that_takes_too_long(service: tuple[LeafIO, Starlette]):
    io, _ = service
    hasty = LeafIO(io.client, resolve=io.resolve, timeout=0.1)
    error = await fails(call("https://erp.example/slow"), hasty)
    assert (error["type"], error["status"]) == (f"{BASE}timeout", 408)


async def test_an_answer_that_is_too_large(service: tuple[LeafIO, Starlette]):
    io, _ = service
    small = LeafIO(io.client, resolve=io.resolve, limit=4999)
    error = await fails(call("https://erp.example/large"), small)
    assert (error["type"], error["status"]) == (f"{BASE}communication", 502)
    enough = LeafIO(io.client, resolve=io.resolve, limit=5000)
    assert len(str(await run_leaf(call("https://erp.example/large"), enough))) == 5000


async def test_nobody_listens(service: tuple[LeafIO, Starlette]):
    io, _ = service
    nowhere = LeafIO(io.client, resolve={"erp.example": "http://127.0.0.1:9"})
    error = await fails(call("https://erp.example/echo"), nowhere)
    assert (error["type"], error["status"]) == (f"{BASE}communication", 503)


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1/", "http://localhost/", "http://[::1]/", "http://169.254.169.254/latest"],
)
async def test_private_addresses_are_refused(service: tuple[LeafIO, Starlette], url: str):
    io, _ = service
    error = await fails(call(url), io)
    assert (error["type"], error["status"]) == (f"{BASE}authorization", 403)


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("100.64.0.1", False),
        ("169.254.1.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("2606:2800:220:1::1", True),
        ("::1", False),
        ("fe80::1", False),
        ("fd00::1", False),
        ("::ffff:127.0.0.1", False),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
        ("::127.0.0.1", False),
        ("::ffff:0:127.0.0.1", False),
        ("64:ff9b:1::7f00:1", False),
        ("fec0::1", False),
    ],
)
def test_which_addresses_are_public(address: str, public: bool):  # noqa: FBT001 - a table
    assert is_public(ipaddress.ip_address(address)) is public


async def test_the_host_is_that_of_the_address(service: tuple[LeafIO, Starlette]):
    io, _ = service
    headers: Any = {"Host": "other.example"}
    answer: Any = await run_leaf(call("https://erp.example/echo", headers=headers), io)
    assert answer["headers"]["host"] != "other.example"


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


async def test_basic_and_digest(service: tuple[LeafIO, Starlette]):
    io, _ = service
    policy = {"username": "ann", "password": "canary-0001"}
    basic: Any = await run_leaf(
        call("https://erp.example/echo", authentication={"basic": policy}), io
    )
    assert (
        basic["headers"]["authorization"]
        == "Basic " + base64.b64encode(b"ann:canary-0001").decode()
    )
    answer = await run_leaf(
        call("https://erp.example/digest", authentication={"digest": policy}), io
    )
    assert answer == {"ok": True}


async def test_a_token_is_asked_for_once_and_never_shown(service: tuple[LeafIO, Starlette]):
    io, app = service
    policy = {
        "authority": "https://login.example",
        "grant": "client_credentials",
        "client": {"id": "flows", "secret": "canary-0001"},
        "scopes": ["a", "b"],
    }
    command = call("https://erp.example/echo", authentication={"oauth2": policy})
    first: Any = await run_leaf(command, io)
    await run_leaf(command, io)
    assert first["headers"]["authorization"] == "Bearer [REDACTED]"
    [asked] = app.state.tokens
    assert (asked["grant_type"], asked["client_id"], asked["scope"]) == (
        "client_credentials",
        "flows",
        "a b",
    )


async def test_an_authority_that_is_discovered(service: tuple[LeafIO, Starlette]):
    io, app = service
    policy = {
        "authority": "https://login.example",
        "grant": "client_credentials",
        "client": {"id": "f", "secret": "s:s", "authentication": "client_secret_basic"},
    }
    await run_leaf(call("https://erp.example/echo", authentication={"oidc": policy}), io)
    [asked] = app.state.tokens
    assert asked["auth"] == "Basic " + base64.b64encode(b"f:s%3As").decode()


async def test_an_authority_that_refuses(service: tuple[LeafIO, Starlette]):
    io, _ = service
    policy = {
        "authority": "https://login.example",
        "grant": "client_credentials",
        "client": {"id": "flows", "secret": "wrong-0001"},
    }
    error = await fails(call("https://erp.example/echo", authentication={"oauth2": policy}), io)
    assert (error["type"], error["status"]) == (f"{BASE}authentication", 401)


async def test_a_kind_that_nobody_carries_out(service: tuple[LeafIO, Starlette]):
    io, _ = service
    error = await fails(RunLeaf("k", "/do/0/ask", "ask", "decision", {}), io)
    assert (error["type"], error["status"]) == (f"{BASE}configuration", 400)

    async def decide(command: RunLeaf) -> Any:
        return {"asked": command.name, "echo": "canary-0001"}

    able = LeafIO(io.client, handlers={"decision": decide})
    command = RunLeaf("k", "/do/0/ask", "ask", "decision", {}, secrets=("canary-0001",))
    assert await run_leaf(command, able) == {"asked": "ask", "echo": "[REDACTED]"}
