"""A certified OpenID provider (npm `oidc-provider`), and browsers that sign in by it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
import yaml
from fastapi import FastAPI
from joserfc.jwk import RSAKey

from coe.web.vendor import npm
from tests.factories.ports import free_port

FOLDER = Path(__file__).resolve().parent.parent / "identity" / "provider"
SITE = "http://127.0.0.1:8700"
PUBLIC = "https://coe.acme.example"
SECRET = "a secret of the client, for tests"
PLAIN = False
"""The provider speaks http, so that no certificate authorities have to be read."""
CSRF = re.compile(r'name="csrf_token" value="([^"]+)"')


def private_jwk(kid: str) -> dict[str, Any]:
    return {**RSAKey.generate_key(2048).as_dict(private=True), "kid": kid, "use": "sig"}


ACCOUNTS: dict[str, dict[str, Any]] = {
    "u-anna": {
        "preferred_username": "Anna.Berg",
        "name": "Anna Berg",
        "email": "anna.berg@acme.example",
        "email_verified": True,
        "groups": ["coe-sales-developer"],
    },
    "u-greta": {
        "preferred_username": "finance-lead",
        "name": "Greta Holm",
        "email": "greta@acme.example",
        "email_verified": True,
        "groups": [],
    },
    "u-stranger": {
        "preferred_username": "stranger",
        "name": "<b>Stranger</b>",
        "email": "stranger@elsewhere.example",
        "email_verified": True,
        "groups": ["coe-coe-lead", "coe-sales-lead"],
    },
}


@dataclass
class Provider:
    """A running provider."""

    url: str
    process: subprocess.Popen[str]
    key: dict[str, Any]
    client_key: str

    def control(self, **orders: Any) -> dict[str, Any]:
        response = httpx.post(f"{self.url}/control", json=orders, verify=PLAIN)
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer

    def reset(self) -> None:
        self.control(accounts=ACCOUNTS, jwks={"keys": [self.key]}, site=None, forget=True)

    def register(self, site: str) -> None:
        """Register the clients at an address at which they listen."""
        self.control(site=site, jwks={"keys": [self.key]})

    def entry(self, **changes: Any) -> dict[str, Any]:
        """Its entry in the file of issuers."""
        entry = {
            "title": "Acme",
            "url": self.url,
            "client_id": "coe",
            "client_secret": SECRET,
            "scopes": ["openid", "profile", "email", "groups"],
            "email_domains": ["acme.example"],
            "groups": [{"group": "coe-*-developer", "team": "*", "roles": ["developer"]}],
        }
        return {name: value for name, value in (entry | changes).items() if value is not None}


def start_provider(cache: Path) -> Provider:
    """Start one; its packages are installed once for each lock file."""
    lock = FOLDER / "package-lock.json"
    place = cache / hashlib.sha256(lock.read_bytes()).hexdigest()[:16]
    node = install(place)
    key, client_key = private_jwk("first"), RSAKey.generate_key(2048, auto_kid=True)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    common = {
        "redirect_uris": [f"{base}/auth/acme/callback" for base in (SITE, PUBLIC)],
        "post_logout_redirect_uris": [f"{base}/auth" for base in (SITE, PUBLIC)],
        "backchannel_logout_uri": f"{SITE}/auth/acme/backchannel-logout",
        "backchannel_logout_session_required": True,
    }
    asserting = {
        "client_id": "coe-key",
        "token_endpoint_auth_method": "private_key_jwt",
        "jwks": {"keys": [client_key.as_dict(private=False)]},
    }
    settings = {
        "issuer": url,
        "port": port,
        "accounts": ACCOUNTS,
        "jwks": {"keys": [key]},
        "clients": [
            {"client_id": "coe", "client_secret": SECRET, **common},
            {**asserting, **common},
        ],
    }
    process = subprocess.Popen(
        [node, str(place / "provider.mjs")],
        env={**os.environ, "PROVIDER": json.dumps(settings)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "listening"
    return Provider(url, process, key, client_key.as_pem(private=True).decode())


def install(place: Path) -> str:
    """Install the locked packages at a place, and return the command of node."""
    place.mkdir(parents=True, exist_ok=True)
    command = npm(place) if shutil.which("npm") is None else [str(shutil.which("npm"))]
    for name in ("package.json", "package-lock.json", "provider.mjs"):
        shutil.copy(FOLDER / name, place / name)
    if not (place / "installed").exists():
        options = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        subprocess.run([*command, "ci", *options], cwd=place, check=True)
        (place / "installed").touch()
    return shutil.which("node") or command[0]


def write_issuers(folder: Path, **issuers: dict[str, Any]) -> Path:
    """The operator's file of issuers."""
    file = folder / "issuers.yaml"
    file.unlink(missing_ok=True)
    file.touch(mode=0o600)
    file.write_text(yaml.safe_dump({"issuers": issuers}))
    return file


@dataclass
class Browser:
    """A browser of somebody: its cookies here and at the issuer."""

    app: FastAPI
    account: str | None = "u-anna"
    base: str = SITE
    acr: str | None = None
    site: httpx.AsyncClient = field(init=False)
    issuer: httpx.AsyncClient = field(init=False)

    def __post_init__(self) -> None:
        transport = httpx.ASGITransport(self.app, client=("127.0.0.1", 50000))
        headers = {"User-Agent": "Test browser"}
        self.site = httpx.AsyncClient(
            transport=transport, base_url=self.base, headers=headers, verify=PLAIN
        )
        self.issuer = httpx.AsyncClient(verify=PLAIN)

    async def begin(self, path: str = "/auth/acme/login") -> str:
        """Follow the link; where the issuer shall be asked."""
        response = await self.site.get(path)
        assert response.status_code == 303, response.text
        return response.headers["location"]

    async def authorize(self, url: str) -> str:
        """Sign in at the issuer; where it sends the browser back."""
        cookies = {"account": self.account, "acr": self.acr}
        for _ in range(12):
            if url.startswith(self.base):
                return url
            for name, value in cookies.items():
                self.issuer.cookies.delete(name) if name in self.issuer.cookies else None
                if value is not None:
                    self.issuer.cookies.set(name, value)
            response = await self.issuer.get(url)
            assert response.is_redirect, response.text
            url = urljoin(url, response.headers["location"])
        raise AssertionError(url)

    async def come_back(self, url: str) -> httpx.Response:
        return await self.site.get(url)

    async def sign_in(self, path: str = "/auth/acme/login") -> httpx.Response:
        """The whole way; the answer of the callback."""
        return await self.come_back(await self.authorize(await self.begin(path)))

    async def whoami(self) -> dict[str, Any]:
        answer: dict[str, Any] = (await self.site.get("/auth/session")).json()
        return answer

    async def csrf(self) -> str:
        found = CSRF.search((await self.site.get("/auth")).text)
        assert found
        return found[1]

    async def post(self, path: str, *, token: str | None = None, **fields: str) -> httpx.Response:
        """Send a form as our pages do."""
        form = {"csrf_token": token if token is not None else await self.csrf(), **fields}
        return await self.site.post(path, data=form, headers={"Origin": self.base})

    async def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """Ask the API as the scripts of our pages do; the whole answer."""
        headers = {"Origin": self.base, "X-CSRF-Token": (await self.whoami())["csrfToken"]}
        body = {"query": query, "variables": variables}
        answer: dict[str, Any] = (
            await self.site.post("/graphql", json=body, headers=headers)
        ).json()
        return answer

    @property
    def cookie(self) -> tuple[str, str]:
        """The name and the value of the session's cookie."""
        return next(
            (each.name, each.value or "")
            for each in self.site.cookies.jar
            if each.name.endswith("coe")
        )

    async def close(self) -> None:
        await self.site.aclose()
        await self.issuer.aclose()
