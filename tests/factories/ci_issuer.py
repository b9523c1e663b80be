"""An issuer of tokens for jobs, as a CI has one: it serves its discovery and its keys over HTTP."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from joserfc import jwt
from joserfc.jwk import RSAKey

AUDIENCE = "https://coe.example.com"
JOB = "repo:acme/flows:ref:refs/heads/main"


@dataclass
class CiIssuer:
    """The issuer: its key, what it was asked for, and what it answers a job."""

    url: str = ""
    key: RSAKey = field(default_factory=lambda: _key("1"))
    asked: list[str] = field(default_factory=list)

    def token(self, *, key: RSAKey | None = None, header: Any = None, **claims: Any) -> str:
        """A token of a job."""
        now = time.time()
        given = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": JOB,
            "iat": now,
            "exp": now + 300,
        } | claims
        signing = key or self.key
        head = {"alg": "RS256", "kid": signing.kid} | (header or {})
        return jwt.encode(head, {k: v for k, v in given.items() if v is not None}, signing)

    def rotate(self) -> None:
        """Sign with a new key from now on."""
        self.key = _key("2")

    def answer(self, path: str, authorization: str) -> object:
        """The document at a path."""
        self.asked.append(path)
        place, _, query = path.partition("?")
        match place:
            case "/.well-known/openid-configuration":
                return {
                    "issuer": self.url,
                    "jwks_uri": f"{self.url}/keys",
                    "id_token_signing_alg_values_supported": ["RS256"],
                }
            case "/keys":
                return {"keys": [{**self.key.as_dict(private=False), "use": "sig"}]}
            case "/job" if authorization == "Bearer job":
                # as GitHub has it: the audience is a parameter beside others
                wanted = dict(each.split("=") for each in query.split("&"))
                assert wanted["api-version"] == "2.0"
                return {"value": self.token()}
        return None


def _key(kid: str) -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": kid})


@contextmanager
def ci_issuer() -> Iterator[CiIssuer]:
    """Run an issuer on this machine."""
    issuer = CiIssuer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = issuer.answer(self.path, self.headers.get("Authorization", ""))
            body = json.dumps(found).encode()
            self.send_response(404 if found is None else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    issuer.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield issuer
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
