"""The client against the real application; the network is cut at httpx's transport."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from coe.demo.api import create_demo_app
from coe.errors import (
    CoeError,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    TooCostly,
    Unauthenticated,
    Unavailable,
)
from coe.sdk import Client
from coe.sdk import client as client_module
from coe.settings import Settings

ME = "{ me { subject } }"
AUDITOR = "demo-auditor"


class Network(httpx.AsyncBaseTransport):
    """The application, behind a network that fails so often first."""

    def __init__(self, inner: httpx.AsyncBaseTransport, failures: int = 0) -> None:
        self.inner = inner
        self.failures = failures
        self.calls = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.calls += 1
        if self.calls <= self.failures:
            raise httpx.ConnectError("cut", request=request)
        return await self.inner.handle_async_request(request)


@pytest.fixture
async def application(settings: Settings) -> AsyncIterator[httpx.ASGITransport]:
    app = create_demo_app(settings)
    async with app.router.lifespan_context(app):
        yield httpx.ASGITransport(app, client=("127.0.0.1", 5))


def client(transport: httpx.AsyncBaseTransport, token: str = AUDITOR, **more: float) -> Client:
    return Client("http://127.0.0.1:8700", token, transport=transport, **more)


async def test_an_operation_gives_its_data(application: httpx.ASGITransport) -> None:
    async with client(application) as auditor:
        assert await auditor.execute(ME) == {"me": {"subject": "auditor"}}


async def test_a_refusal_is_our_error_with_what_decided(application: httpx.ASGITransport) -> None:
    query = 'query { accessReview(team: "sales") { subject } }'
    async with client(application, "demo-outsider") as outsider:
        with pytest.raises((Forbidden, NotFound)) as caught:
            await outsider.execute(query)
    if isinstance(caught.value, Forbidden):
        assert caught.value.extensions["permission"] == "access:review"


async def test_an_unknown_token_is_unauthenticated(application: httpx.ASGITransport) -> None:
    async with client(application, "coe_guess") as stranger:
        with pytest.raises(Unauthenticated):
            await stranger.execute(ME)


async def test_what_is_wrong_with_the_query_comes_located(application: httpx.ASGITransport) -> None:
    async with client(application) as auditor:
        with pytest.raises(Invalid) as caught:
            await auditor.execute("{ nobody }")
    assert "nobody" in caught.value.message


@pytest.mark.parametrize(
    "kind",
    [Unauthenticated, Forbidden, NotFound, Conflict, TooCostly, Unavailable, CoeError],
)
async def test_every_code_comes_back_as_its_class(
    monkeypatch: pytest.MonkeyPatch, kind: type[CoeError]
) -> None:
    monkeypatch.setattr(client_module, "FURTHER_ATTEMPTS", 0)
    entry = {"message": "no", "extensions": {"code": kind.code, "rule": "p, x"}}
    answer = httpx.MockTransport(
        lambda _: httpx.Response(200, json={"data": None, "errors": [entry]})
    )
    async with client(answer) as anyone:
        with pytest.raises(CoeError) as caught:
            await anyone.execute(ME)
    assert type(caught.value) is kind
    assert caught.value.extensions == {"rule": "p, x"}


async def test_patience_bridges_an_outage(
    application: httpx.ASGITransport,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client_module.random, "uniform", lambda *_: 0.01)
    network = Network(application, failures=3)
    async with client(network, patience=30) as auditor:
        assert await auditor.execute(ME) == {"me": {"subject": "auditor"}}
    assert network.calls == 4


async def test_without_patience_the_it_raises_at_once(
    application: httpx.ASGITransport,
) -> None:
    network = Network(application, failures=1)
    async with client(network) as auditor:
        with pytest.raises(Unavailable):
            await auditor.execute(ME)
    assert network.calls == 1


async def test_a_proxy_that_answers_for_a_dead_api_means_unavailable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client_module, "FURTHER_ATTEMPTS", 0)
    answer = httpx.MockTransport(lambda _: httpx.Response(502, text="<html>"))
    async with client(answer) as anyone:
        with pytest.raises(Unavailable):
            await anyone.execute(ME)


class Interrupted(Network):
    """The application, whose answers are lost or which is away, so often first."""

    def __init__(self, inner: httpx.AsyncBaseTransport, failures: int, status: int | None) -> None:
        super().__init__(inner, failures)
        self.status = status

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.calls += 1
        if self.calls > self.failures:
            return await self.inner.handle_async_request(request)
        if self.status is None:
            raise httpx.RemoteProtocolError("the server disconnected", request=request)
        error = {"message": "away", "extensions": {"code": "UNAVAILABLE"}}
        return httpx.Response(self.status, json={"errors": [error]}, request=request)


RENAME = "mutation M($input: SetAliasInput!) { setAlias(input: $input) { problems { message } } }"


@pytest.mark.parametrize("status", [None, 503, 200], ids=["lost", "503", "an error of GraphQL"])
@pytest.mark.parametrize(
    ("query", "variables", "calls"),
    [
        (ME, None, 3),
        (RENAME, {"input": {"ref": "a/b@1.0.0", "name": "x", "clientMutationId": "k"}}, 3),
        (RENAME, {"input": {"ref": "a/b@1.0.0", "name": "x"}}, 1),
    ],
    ids=["a query", "a mutation with a key", "a mutation without one"],
)
async def test_what_happens_once_is_sent_again_after_an_interruption(
    monkeypatch: pytest.MonkeyPatch,
    query: str,
    variables: dict[str, object] | None,
    calls: int,
    status: int | None,
) -> None:
    async def at_once(_: float) -> None:
        return None

    monkeypatch.setattr(client_module.asyncio, "sleep", at_once)
    answers = httpx.MockTransport(lambda _: httpx.Response(200, json={"data": {"done": True}}))
    network = Interrupted(answers, 2, status)
    async with client(network) as auditor:
        if calls == 1:
            with pytest.raises(Unavailable):
                await auditor.execute(query, variables)
        else:
            assert await auditor.execute(query, variables) == {"done": True}
    assert network.calls == calls
