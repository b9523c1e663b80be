"""Every outgoing connection over TLS verifies its server, with the one context of `coe.tls`."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# What opens connections, and the argument by which it is told whom to trust.
OPENERS = {
    "httpx.Client": "verify",
    "httpx.AsyncClient": "verify",
    "websockets.connect": "ssl",
    "asyncpg.connect": "",
    "asyncpg.create_pool": "",
}
# Convenience functions, which trust what the machine trusts; and contexts of one's own.
NEVER = {
    *(f"httpx.{name}" for name in ("get", "post", "put", "patch", "delete", "request", "stream")),
    *("ssl.create_default_context", "ssl._create_unverified_context"),
    *("urllib.request.urlopen", "http.client.HTTPSConnection"),
}
LOOSE = {"CERT_NONE", "CERT_OPTIONAL"}
MAKERS = {"client_context", "websocket_context"}
EXCEPTIONS = {
    ("coe/tls.py", "httpx.create_ssl_context"): "makes the context",
    ("coe/tls.py", "ssl.SSLContext"): "tries whether a file has authorities",
    ("coe/crypto/server_certificate.py", "ssl.SSLContext"): "that of the server",
    ("coe/db/server.py", "asyncpg.connect"): "its URL was completed by `verified_database_url`",
    ("coe/embedded_postgres.py", "asyncpg.connect"): "a Unix socket",
    ("coe/demo/run.py", "asyncpg.connect"): "its URL is completed in the call",
    ("coe/demo/company.py", "asyncpg.create_pool"): "the demo's own, on this machine",
}


def found(source: str) -> Iterator[str]:
    """What of a module opens a connection without the context, or makes one of its own."""
    module = ast.parse(source)
    made = {
        target.attr if isinstance(target, ast.Attribute) else target.id
        for node in ast.walk(module)
        if isinstance(node, ast.Assign) and _is_made(node.value)
        for target in node.targets
        if isinstance(target, ast.Attribute | ast.Name)
    }
    for node in ast.walk(module):
        if isinstance(node, ast.Attribute) and node.attr in LOOSE:
            yield node.attr
        if isinstance(node, ast.Attribute) and node.attr == "check_hostname":
            yield node.attr
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        if name in NEVER or name in {"ssl.SSLContext", "httpx.create_ssl_context"}:
            yield name
        if name in OPENERS:
            given = {each.arg: each.value for each in node.keywords}.get(OPENERS[name])
            if given is None or not (_is_made(given) or _named(given) in made):
                yield name


def _is_made(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and _named(node.func) in MAKERS


def _named(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def test_every_outgoing_connection_has_the_one_context() -> None:
    loose = {
        (str(path.relative_to(ROOT)), name)
        for path in (ROOT / "coe").rglob("*.py")
        for name in found(path.read_text())
    }
    assert loose == set(EXCEPTIONS)


def test_what_is_found() -> None:
    assert list(found("httpx.AsyncClient(timeout=2)")) == ["httpx.AsyncClient"]
    assert list(found("httpx.Client(verify=False)")) == ["httpx.Client"]
    assert list(found("httpx.Client(verify=client_context())")) == []
    assert list(found("own = client_context(None)\nhttpx.Client(verify=own)")) == []
    assert list(found("websockets.connect(url)")) == ["websockets.connect"]
    assert list(found("context.verify_mode = ssl.CERT_NONE")) == ["CERT_NONE"]
