"""Sinks that speak HTTP: an address of one's own, and a witness (C2SP tlog-witness).

An address of one's own gets each checkpoint by POST, and answers a GET with the newest one (404 or
204 if it has none). A witness is sent a proof that the log has only grown, and keeps the size by
itself: it refuses a log that is shorter than it was.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx

from coe.audit.checkpoint import Checkpoint
from coe.audit.sinks.sink import Prove, SinkAhead, SinkFailed
from coe.tls import client_context, why_unreached

TIMEOUT: Final = 5.0
_MAX_ANSWER: Final = 65_536
_SIZE: Final = "text/x.tlog.size"


async def send(
    ca_file: Path | None, method: str, url: str, headers: dict[str, str], content: bytes = b""
) -> httpx.Response:
    """Send a request to a sink; its answer, whatever its status.

    `ca_file` has authorities to trust beside the public ones.

    Raises:
        SinkFailed: It cannot be reached, or answers too much.
    """
    context = client_context(ca_file)
    try:
        async with (
            httpx.AsyncClient(verify=context, timeout=TIMEOUT, trust_env=False) as client,
            client.stream(method, url, headers=headers, content=content) as answer,
        ):
            read = b""
            async for chunk in answer.aiter_bytes():
                read += chunk
                if len(read) > _MAX_ANSWER:
                    raise SinkFailed("its answer is longer than that of a sink")
    except httpx.HTTPError as error:
        raise SinkFailed(f"it cannot be reached: {why_unreached(error)}") from None
    return httpx.Response(answer.status_code, headers=answer.headers, content=read)


def _authorized(token: str | None) -> dict[str, str]:
    return {} if token is None else {"Authorization": f"Bearer {token}"}


@dataclass(slots=True)
class HttpSink:
    """An address that keeps what it is sent, and shows the newest."""

    name: str
    url: str
    ca_file: Path | None = None
    token: str | None = field(default=None, repr=False)
    kind: str = "https"
    readable: bool = True
    proves: bool = False
    every: float = 5.0

    async def newest(self) -> str | None:
        """What the address answers."""
        answer = await send(self.ca_file, "GET", self.url, _authorized(self.token))
        if answer.status_code in {httpx.codes.NOT_FOUND, httpx.codes.NO_CONTENT}:
            return None
        if answer.status_code != httpx.codes.OK:
            raise SinkFailed(f"it answers {answer.status_code}")
        return answer.content.decode(errors="replace")

    async def keep(self, checkpoint: Checkpoint, since: Checkpoint | None, prove: Prove) -> None:  # noqa: ARG002  # as every sink
        """Send the note."""
        headers = {"Content-Type": "text/plain; charset=utf-8", **_authorized(self.token)}
        answer = await send(self.ca_file, "POST", self.url, headers, checkpoint.note.encode())
        if not answer.is_success:
            raise SinkFailed(f"it answers {answer.status_code}")


@dataclass(slots=True)
class WitnessSink:
    """A witness, which cosigns only a log that has grown."""

    name: str
    url: str
    ca_file: Path | None = None
    kind: str = "witness"
    readable: bool = False
    proves: bool = True
    every: float = 5.0

    async def newest(self) -> str | None:
        """Nothing: a witness says what it has seen when it is sent a checkpoint."""
        return None

    async def keep(self, checkpoint: Checkpoint, since: Checkpoint | None, prove: Prove) -> None:
        """Send the checkpoint with the proof since the last one of its epoch."""
        old = since.tree_size if since and since.epoch == checkpoint.epoch else 0
        if old > checkpoint.tree_size:
            old = 0  # it says itself what it has seen
        seen = await self._add(checkpoint, old, prove)
        if seen is None:
            return
        if seen > checkpoint.tree_size:
            raise SinkAhead(f"it has seen a log of {seen} events", seen)
        again = await self._add(checkpoint, seen, prove) if seen != old else seen
        if again == seen:  # of the same size, with another root
            raise SinkAhead(f"it has seen another log of {seen} events", seen)
        if again is not None:
            raise SinkFailed("it names another size each time")

    async def _add(self, checkpoint: Checkpoint, old: int, prove: Prove) -> int | None:
        """Add the checkpoint; the size that it has seen, if it answers with one."""
        path = await prove(old, checkpoint.tree_size) if old else ()
        lines = [f"old {old}", *(base64.b64encode(each).decode() for each in path), ""]
        body = "\n".join([*lines, checkpoint.note]).encode()
        url = f"{self.url.rstrip('/')}/add-checkpoint"
        answer = await send(self.ca_file, "POST", url, {"Content-Type": "text/plain"}, body)
        size = answer.content.strip()
        conflict = answer.status_code == httpx.codes.CONFLICT
        if conflict and answer.headers.get("Content-Type") == _SIZE and size.isdigit():
            return int(size)
        if conflict and old == checkpoint.tree_size:
            return old
        if old and answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY:
            message = f"it has seen another log of {old} events, and refuses the proof"
            raise SinkAhead(message, old)
        if not answer.is_success:
            raise SinkFailed(f"it answers {answer.status_code}")
        return None
