"""A syslog server (RFC 5424 over TLS, RFC 5425; or over TCP on this machine): it only takes."""

from __future__ import annotations

import asyncio
import socket
import ssl
from dataclasses import dataclass
from datetime import UTC
from typing import Final

from coe.audit.checkpoint import Checkpoint
from coe.audit.sinks.http import TIMEOUT
from coe.audit.sinks.sink import Prove, SinkFailed
from coe.tls import why_unreached

_PRIORITY: Final = 13 * 8 + 5
"""Facility log audit, severity notice."""


@dataclass(slots=True)
class SyslogSink:
    """A server that gets each checkpoint as a message; without a context, in clear."""

    name: str
    host: str
    port: int
    context: ssl.SSLContext | None
    kind: str = "syslog"
    readable: bool = False
    proves: bool = False
    every: float = 5.0

    async def newest(self) -> str | None:
        """Nothing: a syslog server does not answer."""
        return None

    async def keep(self, checkpoint: Checkpoint, since: Checkpoint | None, prove: Prove) -> None:  # noqa: ARG002  # as every sink
        """Send one message, and close the connection, so that the end shows that it was taken."""
        message = message_of(checkpoint)
        try:
            async with asyncio.timeout(TIMEOUT):
                reader, writer = await asyncio.open_connection(
                    self.host,
                    self.port,
                    ssl=self.context,
                    server_hostname=self.host if self.context else None,
                )
                writer.write(b"%d %s" % (len(message), message))
                await writer.drain()
                if writer.can_write_eof():
                    writer.write_eof()
                    await reader.read()
                writer.close()
                await writer.wait_closed()
        except (OSError, TimeoutError) as error:
            raise SinkFailed(f"it cannot be reached: {why_unreached(error)}") from None


def message_of(checkpoint: Checkpoint) -> bytes:
    """The message of a checkpoint; the lines of its note stand in one line, joined by ` | `."""
    at = f"{checkpoint.at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
    text = " | ".join(checkpoint.note.removesuffix("\n").split("\n"))
    head = f"<{_PRIORITY}>1 {at} {socket.gethostname()} coe - checkpoint - "
    return head.encode() + b"\xef\xbb\xbf" + text.encode()
