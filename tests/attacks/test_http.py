"""Somebody without a token sends a request that does not end, or that names two hosts."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from coe.web.hosts import KnownHosts
from coe.web.http_protocol import BoundedHttp
from tests.factories.servers import listening

HEAD = b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
MEGABYTE = 2**20
ATTEMPTS = {
    "a header": (HEAD + b"X: ", b"x" * MEGABYTE),
    "the name of a header": (HEAD, b"x" * MEGABYTE),
    "many headers": (HEAD, b"X-Header: value\r\n" * (MEGABYTE // 17)),
    "the target": (b"POST /", b"x" * MEGABYTE),
    "a trailer": (CHUNKED + b"1\r\na\r\n0\r\nX: ", b"x" * MEGABYTE),
    "many trailers": (CHUNKED + b"1\r\na\r\n0\r\n", b"X-Header: value\r\n" * (MEGABYTE // 17)),
    "an extension of a chunk": (CHUNKED + b"1;x=", b"x" * MEGABYTE),
}


async def _size(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(len(await request.body())))


@pytest.fixture
async def port() -> AsyncIterator[int]:
    app = KnownHosts(Starlette(routes=[Route("/", _size, methods=["POST"])]), ["127.0.0.1"])
    async with listening(app, is_started=True, http=BoundedHttp) as url:
        number = urlsplit(url).port
        assert number is not None
        yield number


async def sent(port: int, *parts: bytes) -> bytes:
    """What the server answers until it closes, or has answered; it may close before all is sent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = b""
    with contextlib.suppress(ConnectionError):
        for part in parts:
            for at in range(0, len(part), 16_384):
                writer.write(part[at : at + 16_384])
                await writer.drain()
                await asyncio.sleep(0)
        answer = await reader.read()
    writer.close()
    return answer


@pytest.mark.parametrize(("begin", "rest"), ATTEMPTS.values(), ids=ATTEMPTS.keys())
async def test_a_head_that_does_not_end_is_cut(port: int, begin: bytes, rest: bytes) -> None:
    answer = await sent(port, begin, rest)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400"), "it was cut in the midst"
    after = HEAD + b"Connection: close\r\nContent-Length: 1\r\n\r\na"
    assert (await sent(port, after)).endswith(b"1"), "others are served"


async def test_two_hosts_are_none(port: int) -> None:
    head = HEAD + b"Host: evil.example\r\nConnection: close\r\nContent-Length: 1\r\n\r\na"
    assert (await sent(port, head)).startswith(b"HTTP/1.1 421")


async def test_a_large_body_in_small_chunks_is_read(port: int) -> None:
    head = HEAD + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert (await sent(port, head, b"1\r\na\r\n" * 100_000, b"0\r\n\r\n")).endswith(b"100000")


async def test_two_lengths_are_refused(port: int) -> None:
    head = HEAD + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    assert (await sent(port, head)).startswith(b"HTTP/1.1 400")
