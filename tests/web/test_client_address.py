"""The address of a client behind proxies, as it reaches the audit log."""

from __future__ import annotations

import ipaddress

import httpx
import pytest
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from coe.app import create_app
from coe.settings import Settings
from coe.web.client_address import ForwardedAddress, OnlyByProxy
from coe.web.measuring import MeasuredRequests

PROXIES = [ipaddress.ip_network(each) for each in ("10.0.0.0/8", "192.0.2.1/32", "fd00::/8")]


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    request = Request(scope)
    await PlainTextResponse(request.client.host if request.client else "")(scope, receive, send)


async def seen(peer: str, *forwarded: str, trusted: bool = True) -> str:
    app = ForwardedAddress(echo, PROXIES if trusted else [])
    transport = httpx.ASGITransport(app, client=(peer, 4711))
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        headers = [("X-Forwarded-For", value) for value in forwarded]
        return (await client.get("/", headers=headers)).text


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("10.1.2.3", ["203.0.113.9"], "203.0.113.9"),
        ("10.1.2.3", ["203.0.113.9:52000"], "203.0.113.9"),
        ("10.1.2.3", ["2001:db8::7"], "2001:db8::7"),
        ("10.1.2.3", ["[2001:db8::7]:443"], "2001:db8::7"),
        ("fd00::1", ["203.0.113.9"], "203.0.113.9"),
        ("::ffff:10.1.2.3", ["203.0.113.9"], "203.0.113.9"),
        # Several proxies, in one header or in several.
        ("10.1.2.3", ["203.0.113.9, 192.0.2.1"], "203.0.113.9"),
        ("10.1.2.3", ["203.0.113.9", "192.0.2.1, 10.9.9.9"], "203.0.113.9"),
        # What the client itself wrote is to the left of what the first proxy saw.
        ("10.1.2.3", ["127.0.0.1, 203.0.113.9"], "203.0.113.9"),
        ("10.1.2.3", ["127.0.0.1", "203.0.113.9"], "203.0.113.9"),
        ("10.1.2.3", ["<b>, 203.0.113.9"], "203.0.113.9"),
        ("10.1.2.3", ["203.0.113.9, not an address"], "10.1.2.3"),
        ("10.1.2.3", ["10.7.7.7"], "10.7.7.7"),
        ("10.1.2.3", [], "10.1.2.3"),
        ("10.1.2.3", [""], "10.1.2.3"),
        # Nobody else may say who it is.
        ("203.0.113.66", ["127.0.0.1"], "203.0.113.66"),
        ("192.0.2.2", ["203.0.113.9"], "192.0.2.2"),
    ],
)
async def test_the_address_that_trusted_proxies_saw(
    peer: str, forwarded: list[str], expected: str
) -> None:
    assert await seen(peer, *forwarded) == expected


async def test_without_trusted_proxies_the_header_is_ignored() -> None:
    assert await seen("10.1.2.3", "203.0.113.9", trusted=False) == "10.1.2.3"


def test_the_setting_has_networks() -> None:
    settings = Settings(trusted_proxies=("10.0.0.0/8", "192.0.2.1", "fd00::/8"))
    assert list(settings.proxy_networks) == PROXIES
    assert Settings().proxy_networks == ()
    for wrong in ("10.0.0.1/8", "proxy.example", "*", ""):
        with pytest.raises(ValidationError):
            Settings(trusted_proxies=(wrong,))


async def test_the_application_has_it_around_every_door(settings: Settings) -> None:
    app = create_app(settings.model_copy(update={"trusted_proxies": ("10.0.0.0/8",)}))
    around = [each.cls for each in app.user_middleware[:3]]
    assert around == [MeasuredRequests, OnlyByProxy, ForwardedAddress]
    for each in app.user_middleware[1:3]:
        assert list(each.kwargs["trusted"]) == PROXIES[:1]
