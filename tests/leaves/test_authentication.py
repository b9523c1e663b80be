from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from typing import Any

import pytest
from starlette.applications import Starlette

from coe.leaves.caches import MAX_TOKENS, TokenCache
from coe.leaves.leaf import LeafIO
from coe.leaves.run import run_leaf
from tests.factories.http_service import BASE, call, fails, service

__all__ = ["service"]


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


@pytest.mark.parametrize(
    ("policy", "missing"),
    [
        ({"basic": {"username": None, "password": "canary-0001"}}, "username"),
        ({"basic": {"username": "ann"}}, "password"),
        ({"digest": {"username": "ann", "password": ["x"]}}, "password"),
        ({"bearer": {"token": None}}, "token"),
    ],
)
async def test_a_credential_that_data_lacks_is_not_made_up(
    service: tuple[LeafIO, Starlette], policy: dict[str, Any], missing: str
):
    error = await fails(call("https://erp.example/echo", authentication=policy), service[0])
    assert (error["type"], error["status"], error["title"]) == (
        f"{BASE}authentication",
        401,
        f"The authentication policy has no `{missing}`",
    )


async def test_a_password_may_be_a_number(service: tuple[LeafIO, Starlette]):
    policy = {"basic": {"username": "ann", "password": 1234}}
    answer: Any = await run_leaf(
        call("https://erp.example/echo", authentication=policy), service[0]
    )
    assert answer["headers"]["authorization"] == "Basic " + base64.b64encode(b"ann:1234").decode()


async def test_a_token_is_requested_once_and_never_shown(service: tuple[LeafIO, Starlette]):
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
    [form] = app.state.tokens
    assert (form["grant_type"], form["client_id"], form["scope"]) == (
        "client_credentials",
        "flows",
        "a b",
    )


async def test_the_discovery_of_an_authority(service: tuple[LeafIO, Starlette]):
    io, app = service
    policy = {
        "authority": "https://login.example",
        "grant": "client_credentials",
        "client": {"id": "f", "secret": "s:s", "authentication": "client_secret_basic"},
    }
    await run_leaf(call("https://erp.example/echo", authentication={"oidc": policy}), io)
    [form] = app.state.tokens
    assert form["auth"] == "Basic " + base64.b64encode(b"f:s%3As").decode()


async def test_an_authority_that_refuses(service: tuple[LeafIO, Starlette]):
    io, _ = service
    policy = {
        "authority": "https://login.example",
        "grant": "client_credentials",
        "client": {"id": "flows", "secret": "wrong-0001"},
    }
    error = await fails(call("https://erp.example/echo", authentication={"oauth2": policy}), io)
    assert (error["type"], error["status"]) == (f"{BASE}authentication", 401)


def oauth(**more: Any) -> dict[str, Any]:
    client = {"id": "flows", "secret": "canary-0001"}
    policy = {"authority": "https://login.example", "grant": "client_credentials", "client": client}
    return {"oauth2": {**policy, **more}}


async def token_request(
    service: tuple[LeafIO, Starlette], policy: dict[str, Any]
) -> dict[str, Any]:
    io, app = service
    await run_leaf(call("https://erp.example/echo", authentication=policy), io)
    return app.state.tokens[-1]


async def test_bearer(service: tuple[LeafIO, Starlette]) -> None:
    io, _ = service
    policy = {"bearer": {"token": "canary-0001"}}
    answer: Any = await run_leaf(call("https://erp.example/echo", authentication=policy), io)
    assert answer["headers"]["authorization"] == "Bearer [REDACTED]"


async def test_digest_with_sha_256(service: tuple[LeafIO, Starlette]) -> None:
    io, _ = service
    policy = {"digest": {"username": "ann", "password": "canary-0001"}}
    command = call("https://erp.example/digest?algorithm=SHA-256", authentication=policy)
    assert await run_leaf(command, io) == {"ok": True}


async def test_the_password_grant(service: tuple[LeafIO, Starlette]) -> None:
    policy = oauth(grant="password", username="ann", password="canary-0002", audiences=["erp"])
    form = await token_request(service, policy)
    assert (form["grant_type"], form["username"], form["password"], form["audience"]) == (
        "password",
        "ann",
        "canary-0002",
        "erp",
    )


@pytest.mark.parametrize(
    "given",
    [
        {"refreshToken": "canary-0003"},
        {"refresh_token": "canary-0003"},
        {"subject": {"token": "canary-0003", "type": "refresh"}},
    ],
)
async def test_a_refresh_token(service: tuple[LeafIO, Starlette], given: dict[str, Any]) -> None:
    form = await token_request(service, oauth(grant="refresh_token", **given))
    assert (form["grant_type"], form["refresh_token"]) == ("refresh_token", "canary-0003")


async def test_an_exchange_of_tokens(service: tuple[LeafIO, Starlette]) -> None:
    grant = "urn:ietf:params:oauth:grant-type:token-exchange"
    kind = "urn:ietf:params:oauth:token-type:jwt"
    subject, actor = {"token": "canary-sub", "type": kind}, {"token": "canary-act", "type": kind}
    form = await token_request(service, oauth(grant=grant, subject=subject, actor=actor))
    assert (form["grant_type"], form["subject_token"], form["actor_token"]) == (
        grant,
        "canary-sub",
        "canary-act",
    )
    assert form["subject_token_type"] == form["actor_token_type"] == kind


async def test_a_secret_signs_an_assertion(service: tuple[LeafIO, Starlette]) -> None:
    client = {"id": "flows", "secret": "canary-canary-0001", "authentication": "client_secret_jwt"}
    form = await token_request(service, oauth(client=client))
    head, payload, signature = form["client_assertion"].split(".")
    expected = hmac.digest(b"canary-canary-0001", f"{head}.{payload}".encode(), hashlib.sha256)
    assert base64.urlsafe_b64decode(signature + "=") == expected
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    assert claims["iss"] == claims["sub"] == "flows"
    assert claims["aud"] == "https://login.example/oauth2/token"
    assert 0 < claims["exp"] - claims["iat"] <= 300
    assert form["client_assertion_type"].endswith(":jwt-bearer")
    assert "client_secret" not in form


async def test_a_given_assertion_and_a_public_client(
    service: tuple[LeafIO, Starlette],
) -> None:
    client = {"id": "flows", "assertion": "a.b.c", "authentication": "private_key_jwt"}
    assert (await token_request(service, oauth(client=client)))["client_assertion"] == "a.b.c"
    form = await token_request(service, oauth(client={"id": "open", "authentication": "none"}))
    assert (form["client_id"], form.get("client_secret")) == ("open", None)


async def test_a_request_for_a_token_in_json(service: tuple[LeafIO, Starlette]) -> None:
    form = await token_request(service, oauth(request={"encoding": "application/json"}))
    assert (form["kind"], form["client_id"]) == ("application/json", "flows")


async def test_paths_below_the_authority_and_its_discovery(
    service: tuple[LeafIO, Starlette],
) -> None:
    elsewhere = oauth(endpoints={"token": "/realms/a/token"})
    assert (await token_request(service, elsewhere))["path"] == "/realms/a/token"
    found = oauth(authority="https://login.example/.well-known/openid-configuration")
    assert (await token_request(service, found))["path"] == "/oauth2/token"


@pytest.mark.parametrize(
    ("more", "title"),
    [
        ({"grant": "authorization_code"}, "The grant authorization_code is not supported"),
        ({"grant": "refresh_token"}, "There is no refresh token"),
        ({"client": {"id": "f", "authentication": "private_key_jwt"}}, "assertion is missing"),
        (
            {"client": {"id": "f", "secret": "", "authentication": "client_secret_jwt"}},
            "secret cannot sign",
        ),
        ({"client": {"id": "mac", "secret": "x"}}, "of an unsupported type"),
        ({"issuers": ["https://other.example"]}, "of another issuer"),
        ({"client": {"id": "flows", "secret": "wrong-0001"}}, "issued no token"),
    ],
)
async def test_tokens_that_are_refused(
    service: tuple[LeafIO, Starlette], more: dict[str, Any], title: str
) -> None:
    io, _ = service
    error = await fails(call("https://erp.example/echo", authentication=oauth(**more)), io)
    assert (error["type"], error["status"]) == (f"{BASE}authentication", 401)
    assert title in error["title"]


async def test_an_issuer_that_is_named(service: tuple[LeafIO, Starlette]) -> None:
    client = {"id": "jwt", "secret": "x"}
    form = await token_request(service, oauth(client=client, issuers=["https://login.example"]))
    assert form["client_id"] == "jwt"


async def test_a_refused_token_is_requested_again_once(
    service: tuple[LeafIO, Starlette],
) -> None:
    io, app = service
    command = call("https://erp.example/guarded", authentication=oauth())
    app.state.good = {"fresh-token-1"}
    assert await run_leaf(command, io) == {"ok": True}
    app.state.good = {"fresh-token-2"}
    assert await run_leaf(command, io) == {"ok": True}
    assert len(app.state.tokens) == 2
    app.state.good = set()
    error = await fails(command, io)
    assert (error["type"], error["status"]) == (f"{BASE}communication", 401)
    assert len(app.state.tokens) == 3


async def test_concurrent_calls_request_one_token(service: tuple[LeafIO, Starlette]) -> None:
    io, app = service
    commands = [call("https://erp.example/echo", authentication=oauth()) for _ in range(8)]
    await asyncio.gather(*(run_leaf(command, io) for command in commands))
    assert len(app.state.tokens) == 1


async def test_tokens_are_not_shared_between_teams(service: tuple[LeafIO, Starlette]) -> None:
    io, app = service
    for team in ("sales", "finance"):
        await run_leaf(call("https://erp.example/echo", authentication=oauth(), team=team), io)
    assert len(app.state.tokens) == 2


async def test_a_fresh_token_is_in_no_error(service: tuple[LeafIO, Starlette]) -> None:
    io, _ = service
    error = await fails(call("https://erp.example/mirror", authentication=oauth()), io)
    assert error["detail"] == "Bearer [REDACTED]"
    raw: Any = await run_leaf(
        call("https://erp.example/echo", authentication=oauth(), output="raw"), io
    )
    assert b"fresh-token" not in base64.b64decode(raw)


def test_the_token_cache_is_bounded() -> None:
    tokens = TokenCache()
    for number in range(MAX_TOKENS + 5):
        tokens.put(str(number).encode(), "t", 60)
    assert tokens.get(b"0") is None
    assert tokens.get(str(MAX_TOKENS + 4).encode()) == "t"
    tokens.put(b"old", "t", -1)
    assert tokens.get(b"old") is None
