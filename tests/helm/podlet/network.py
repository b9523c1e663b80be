"""The network of the pods: an address each, and Services that lead to those that are ready."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.helm.podlet.image import run

BLOCK = 65536


@dataclass
class Network:
    """A bridge with a part of 10.213.0.0/16; what it makes has the number of this process."""

    number: int = field(default_factory=lambda: os.getpid() % 250)
    _last: int = 9

    @property
    def bridge(self) -> str:
        return f"coepod{self.number}"

    @property
    def host(self) -> str:
        """The address of this machine, from which Services call pods."""
        return f"10.213.{self.number}.1"

    def open(self) -> None:
        run(["ip", "link", "add", "name", self.bridge, "type", "bridge"])
        run(["ip", "address", "add", f"{self.host}/24", "dev", self.bridge])
        run(["ip", "link", "set", self.bridge, "up"])

    def close(self) -> None:
        run(["ip", "link", "delete", self.bridge])

    def address(self) -> str:
        """Another address."""
        self._last += 1
        assert self._last < 255, "no address is left"
        return f"10.213.{self.number}.{self._last}"

    def service_address(self) -> str:
        """An address of this machine for a Service."""
        found = self.address()
        run(["ip", "address", "add", f"{found}/24", "dev", self.bridge])
        return found

    def join(self, address: str) -> str:
        """A network namespace with this address; its name."""
        last = address.rpartition(".")[2]
        name = f"{self.bridge}-{last}"
        outside = f"cp{self.number}x{last}"
        inside = ["ip", "-n", name]
        run(["ip", "netns", "add", name])
        run(["ip", "link", "add", outside, "type", "veth", "peer", "name", "eth0", "netns", name])
        run(["ip", "link", "set", outside, "master", self.bridge, "up"])
        run([*inside, "address", "add", f"{address}/24", "dev", "eth0"])
        run([*inside, "link", "set", "eth0", "up"])
        run([*inside, "link", "set", "lo", "up"])
        return name

    def leave(self, name: str) -> None:
        run(["ip", "netns", "delete", name])


Target = Callable[[], tuple[str, int] | str | None]
"""Where the next connection goes: an address, the path of a socket, or nowhere."""


@asynccontextmanager
async def relay(host: str, port: int, target: Target) -> AsyncIterator[None]:
    """Relay what connects here; a connection that leads nowhere is refused."""
    connections: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        try:
            await _relayed(reader, writer, target())
        except asyncio.CancelledError:  # the relay is closed; asyncio would print it
            pass
        finally:
            connections.discard(task)
            writer.close()

    server = await asyncio.start_server(accept, host, port)
    try:
        yield
    finally:
        server.close()
        for task in list(connections):
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)


async def _relayed(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, place: tuple[str, int] | str | None
) -> None:
    if place is None:
        return
    with contextlib.suppress(OSError):
        if isinstance(place, str):
            other_reader, other_writer = await asyncio.open_unix_connection(place)
        else:
            other_reader, other_writer = await asyncio.open_connection(*place)
        try:
            await asyncio.gather(_copied(reader, other_writer), _copied(other_reader, writer))
        finally:
            other_writer.close()


async def _copied(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(BLOCK):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
