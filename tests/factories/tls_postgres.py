"""TLS before a real PostgreSQL: the embedded one is built without it.

It answers the request for TLS as PostgreSQL does (`SSLRequest`, "SSL Session Encryption" of the
protocol's documentation), and passes the session on. What does not ask for TLS is turned away.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from tests.factories.certificates import Pair

SSL_REQUEST = struct.pack("!ii", 8, 80877103)


@dataclass
class Front:
    """Where it listens, and the versions of TLS of the sessions that it has passed on."""

    port: int
    sessions: list[str] = field(default_factory=list)

    def url(self, behind: str, host: str = "127.0.0.1", query: str = "") -> str:
        """The URL of the database behind it, by this name."""
        name = urlsplit(behind).path
        return f"postgresql://postgres:secret@{host}:{self.port}{name}" + (
            f"?{query}" if query else ""
        )


@asynccontextmanager
async def before(behind: str, pair: Pair) -> AsyncIterator[Front]:
    """Listen at 127.0.0.1 and 127.0.0.2 with this certificate, before the server of a URL."""
    socket = parse_qs(urlsplit(behind).query)["host"][0] + "/.s.PGSQL.5432"
    context = pair.context()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            if await reader.readexactly(8) == SSL_REQUEST:
                writer.write(b"S")
                await writer.start_tls(context)
                secured: ssl.SSLObject = writer.get_extra_info("ssl_object")
                front.sessions.append(secured.version() or "")
                await _relay(reader, writer, *await asyncio.open_unix_connection(socket))
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    front = Front(listening.sockets[0].getsockname()[1])
    second = await asyncio.start_server(serve, "127.0.0.2", front.port)
    async with listening, second:
        yield front


async def _relay(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    answers: asyncio.StreamReader,
    questions: asyncio.StreamWriter,
) -> None:
    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while part := await source.read(65536):
                sink.write(part)
                await sink.drain()
        sink.close()

    await asyncio.gather(pump(reader, questions), pump(answers, writer))
