"""A service on loopback, and calls of it: for the tests of the leaves that use HTTP."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from coe.leaves.leaf import LeafFault, LeafIO
from coe.leaves.run import run_leaf
from coe.leaves.transport import open_client
from coe.machine.commands import RunLeaf

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
        "marked": (b'\xef\xbb\xbf{"a":1}', "application/json"),
        "empty": (b"", "application/json"),
        "numbers": (b'{"id": 18446744073709551616}', "application/json"),
        "untyped": (b'{"id": 18446744073709551616}', ""),
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


async def inwards(request: Request) -> Response:
    return RedirectResponse("http://169.254.169.254/latest", 302)


async def digest(request: Request) -> Response:
    algorithm = request.query_params.get("algorithm", "MD5")
    given = request.headers.get("authorization", "")
    if not given.startswith("Digest "):
        challenge = f'Digest realm="r", nonce="n", qop="auth", algorithm={algorithm}'
        return Response(status_code=401, headers={"www-authenticate": challenge})
    parts = dict(part.split("=", 1) for part in given[7:].split(", "))
    values = {name: value.strip('"') for name, value in parts.items()}

    def hashed(text: str) -> str:
        name = {"MD5": "md5", "SHA-256": "sha256"}[algorithm]
        return hashlib.new(name, text.encode(), usedforsecurity=False).hexdigest()

    first = hashed("ann:r:canary-0001")
    second = hashed(f"GET:{values['uri']}")
    wanted = hashed(f"{first}:n:{values['nc']}:{values['cnonce']}:auth:{second}")
    return JSONResponse({"ok": values["response"] == wanted})


async def token(request: Request) -> Response:
    body, kind = (await request.body()).decode(), request.headers.get("content-type", "")
    form = json.loads(body) if kind == "application/json" else dict(parse_qsl(body))
    asked = {"auth": request.headers.get("authorization"), "path": request.url.path, "kind": kind}
    request.app.state.tokens.append({**form, **asked})
    if form.get("client_secret") == "wrong-0001":
        return JSONResponse({"error": "invalid_client"}, 401)
    made = f"fresh-token-{len(request.app.state.tokens)}"
    if form.get("client_id") == "jwt":
        claims = base64.urlsafe_b64encode(b'{"iss":"https://login.example"}').decode().rstrip("=")
        made = f"eyJhbGciOiJSUzI1NiJ9.{claims}.sig"
    answer = {"access_token": made, "expires_in": 3600}
    return JSONResponse(answer | ({"token_type": "mac"} if form.get("client_id") == "mac" else {}))


async def guarded(request: Request) -> Response:
    given = request.headers.get("authorization", "").removeprefix("Bearer ")
    good = given in request.app.state.good
    return JSONResponse({"ok": good}, 200 if good else 401)


async def mirror(request: Request) -> Response:
    body = json.dumps({"title": "No", "detail": request.headers.get("authorization")})
    return Response(body, 403, media_type="application/problem+json")


async def discovery(request: Request) -> Response:
    return JSONResponse({"token_endpoint": "https://login.example/oauth2/token"})


FOLDER = Path(__file__).parents[1] / "leaves" / "openapi"
MADE = {
    "text": b"[1, 2]",
    "broken": b"{a: [",
    "none": b"{}",
    "old": b'swaggerVersion: "1.2"\nswagger: "1.2"',
    "tagged": b"a: !!python/object/apply:os.system [id]",
    "large": b"# " + b"x" * 2_000_001,
    "inside": json.dumps(
        {
            "openapi": "3.1.0",
            "servers": [{"url": "http://169.254.169.254/"}],
            "paths": {"/latest": {"get": {"operationId": "getOrder"}}},
        }
    ).encode(),
}


async def document(request: Request) -> Response:
    """A file of the folder, or what was made for a test."""
    request.app.state.fetched.append(request.headers.get("authorization"))
    name = request.path_params["name"]
    if name == "large":
        return Response(request.app.state.large)
    if name.startswith("made/"):
        return Response(MADE[name.removeprefix("made/")])
    file = FOLDER / name
    return Response(file.read_bytes()) if file.is_file() else Response(status_code=404)


ROUTES = [
    Route("/echo", echo, methods=["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"]),
    Route("/echo/{rest:path}", echo, methods=["GET", "POST", "PUT", "DELETE"]),
    Route("/status/{status:int}", status),
    Route("/problem", problem),
    Route("/typed/{kind}", typed),
    Route("/slow", slow),
    Route("/large", large),
    Route("/elsewhere", elsewhere),
    Route("/inwards", inwards),
    Route("/documents/{name:path}", document),
    Route("/digest", digest),
    Route("/guarded", guarded),
    Route("/mirror", mirror),
    Route("/oauth2/token", token, methods=["POST"]),
    Route("/realms/a/token", token, methods=["POST"]),
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
    app.state.tokens, app.state.fetched = [], []
    async with serving(app) as base, open_client() as client:
        resolve = {"erp.example": base, "login.example": base, "deep.example": f"{base}/echo"}
        yield LeafIO(client, resolve=resolve, timeout=5), app


def call(endpoint: str, method: str = "get", **more: Any) -> RunLeaf:
    leaf = {
        name: more.pop(name)
        for name in ("authentication", "secrets", "traceparent", "team")
        if name in more
    }
    arguments = {"method": method, "endpoint": endpoint, "output": "content", **more}
    return RunLeaf("k" * 64, "/do/0/call", "call", "http", arguments, **leaf)


async def fails(command: RunLeaf, io: LeafIO) -> dict[str, Any]:
    with pytest.raises(LeafFault) as caught:
        await run_leaf(command, io)
    return caught.value.error
