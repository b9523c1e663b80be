"""A load balancer for tests, as an ingress is one: by path, by readiness, one request a connection.

It asks `/readyz` of each replica as a kubelet does, and sends a request to the next one that is
ready. Where a replica takes no connection, or closes it without a byte of an answer, the next one
is asked: nobody has seen anything of it. What breaks after the first byte is broken.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx

from tests.factories.ports import free_port

ASK_SECONDS = 0.1
HEAD = b"\r\n\r\n"


@dataclass
class Backend:
    """One replica: where it serves, where its probes are, whether it is sent requests."""

    port: int
    probe_port: int
    ready: bool = False


@dataclass
class Balancer:
    """Sends paths below `/gateway` to one group of replicas, and all others to the other.

    Attributes:
        statuses: Answers by group and status.
        unanswered: Requests that no replica answered.
        broken: Answers that broke off.
    """

    port: int = field(default_factory=free_port)
    groups: dict[str, list[Backend]] = field(default_factory=lambda: {"api": [], "gateway": []})
    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    unanswered: int = 0
    _turn: itertools.count[int] = field(default_factory=itertools.count)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def failures(self) -> dict[tuple[str, int], int]:
        """Answers that say that something failed on the side of the platform."""
        return {key: count for key, count in self.statuses.items() if key[1] >= 500}

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Listen within the context."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        looking = asyncio.create_task(self._look_for_ever())
        try:
            yield
        finally:
            looking.cancel()
            server.close()

    async def _look_for_ever(self) -> None:
        async with httpx.AsyncClient(trust_env=False, timeout=5) as client:
            while True:
                backends = [each for group in self.groups.values() for each in group]
                await asyncio.gather(*(self._look(client, each) for each in backends))
                await asyncio.sleep(ASK_SECONDS)

    async def _look(self, client: httpx.AsyncClient, backend: Backend) -> None:
        try:
            answer = await client.get(f"http://127.0.0.1:{backend.probe_port}/readyz")
            backend.ready = answer.is_success
        except httpx.HTTPError:
            backend.ready = False

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(HEAD)
            body = await reader.readexactly(_length(head))
            group = "gateway" if b" /gateway/" in head.split(b"\r\n", 1)[0] else "api"
            await self._answer(group, _closing(head) + body, reader, writer)
        writer.close()

    async def _answer(
        self,
        group: str,
        request: bytes,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        for backend in self._in_turn(group):
            try:
                up_reader, up_writer = await asyncio.open_connection("127.0.0.1", backend.port)
                up_writer.write(request)
                first = await up_reader.readline()
            except OSError:
                continue
            if not first:
                up_writer.close()
                continue
            self.statuses[group, int(first.split()[1])] += 1
            writer.write(first)
            await _both_ways((reader, up_writer), (up_reader, writer))
            return
        self.unanswered += 1
        writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    def _in_turn(self, group: str) -> list[Backend]:
        """The replicas that are ready, each time beginning with the next one; then the others."""
        known, first = self.groups[group], next(self._turn)
        turned = [known[(first + each) % len(known)] for each in range(len(known))]
        return sorted(turned, key=lambda each: not each.ready)


def _closing(head: bytes) -> bytes:
    """The head of a request whose answer ends the connection; that of an upgrade as it is."""
    lines = head.split(b"\r\n")
    if any(line.lower().startswith(b"upgrade:") for line in lines):
        return head
    kept = [line for line in lines if not line.lower().startswith(b"connection:")]
    return b"\r\n".join([kept[0], b"Connection: close", *kept[1:]])


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


async def _both_ways(
    *ways: tuple[asyncio.StreamReader, asyncio.StreamWriter],
) -> None:
    """Pass on bytes both ways until the replica has closed."""
    passing = [asyncio.create_task(_pass_on(*way)) for way in ways]
    await asyncio.wait(passing, return_when=asyncio.FIRST_COMPLETED)
    if not passing[1].done() and passing[0].done():
        await asyncio.wait(passing[1:])
    for each in passing:
        each.cancel()
    await asyncio.gather(*passing, return_exceptions=True)
    for _, writer in ways:
        writer.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while chunk := await reader.read(65536):
            writer.write(chunk)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
