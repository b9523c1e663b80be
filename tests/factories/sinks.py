"""Sinks of checkpoints on loopback: an address, a bucket, a witness and a syslog server."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote, urlsplit

from coe.audit.checkpoint import Checkpoint
from coe.audit.merkle import verify_consistency
from coe.audit.sinks.object_store import Credentials, authorization
from coe.crypto.signing import VerifyKey

Answer = tuple[int, str, bytes]
CREDENTIALS = Credentials("AKIATEST", "secret", "eu-central-1")


@dataclass(frozen=True)
class Asked:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Place:
    """What a place has, which somebody may empty, and whether it is away."""

    url: str = ""
    notes: list[str] = field(default_factory=list)
    objects: dict[str, bytes] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    seen: dict[str, Checkpoint] = field(default_factory=dict)
    away: bool = False


@asynccontextmanager
async def served(answer: Callable[[Asked], Awaitable[Answer]], place: Place) -> AsyncIterator[None]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        method, target, _ = head[0].split(" ")
        pairs = [line.partition(": ") for line in head[1:] if line]
        headers = {name.lower(): value for name, _, value in pairs}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        asked = Asked(method, target, headers, body)
        place.asked.append(asked)
        status, kind, content = (503, "", b"") if place.away else await answer(asked)
        top = f"HTTP/1.1 {status} So\r\nContent-Type: {kind}\r\nConnection: close\r\n"
        writer.write(f"{top}Content-Length: {len(content)}\r\n\r\n".encode() + content)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    place.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield
    finally:
        server.close()


@asynccontextmanager
async def address() -> AsyncIterator[Place]:
    """An address that keeps notes, and shows the last one."""
    place = Place()

    async def answer(asked: Asked) -> Answer:
        if asked.headers.get("authorization") != "Bearer token":
            return 401, "", b""
        if asked.method == "POST":
            place.notes.append(asked.body.decode())
            return 204, "", b""
        return (200, "text/plain", place.notes[-1].encode()) if place.notes else (404, "", b"")

    async with served(answer, place):
        yield place


@asynccontextmanager
async def bucket() -> AsyncIterator[Place]:
    """A bucket `log`: it checks each signature, lists in order, and writes no object twice."""
    place = Place()

    async def answer(asked: Asked) -> Answer:
        parts = urlsplit(asked.target)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        given = asked.headers["authorization"]
        named = given.partition("SignedHeaders=")[2].partition(",")[0].split(";")
        headers = {name: asked.headers[name] for name in named if name != "host"}
        digest = hashlib.sha256(asked.body).hexdigest()
        url = f"{place.url}{parts.path}"
        if given != authorization(CREDENTIALS, (asked.method, url), query, headers, digest):
            return 403, "", b""
        key = unquote(parts.path).removeprefix("/log").removeprefix("/")
        if asked.method == "PUT":
            checksum = base64.b64encode(hashlib.sha256(asked.body).digest()).decode()
            assert asked.headers["x-amz-checksum-sha256"] == checksum
            if key in place.objects:
                return 412, "", b""
            place.objects[key] = asked.body
            return 200, "", b""
        if key:
            return 200, "text/plain", place.objects[key]
        found = sorted(each for each in place.objects if each.startswith(query["prefix"]))
        keys = "".join(f"<Contents><Key>{each}</Key></Contents>" for each in found[:1])
        return 200, "application/xml", f"<ListBucketResult>{keys}</ListBucketResult>".encode()

    async with served(answer, place):
        yield place


@asynccontextmanager
async def witness(key: VerifyKey) -> AsyncIterator[Place]:
    """A witness of C2SP tlog-witness: it verifies each proof, for each origin."""
    place = Place()

    async def answer(asked: Asked) -> Answer:
        if asked.target != "/add-checkpoint":
            return 404, "", b""
        lines, _, note = asked.body.decode().partition("\n\n")
        first, *proof = lines.split("\n")
        checkpoint = Checkpoint.open(note, key)
        origin = note.partition("\n")[0]
        seen = place.seen.get(origin)
        size = seen.tree_size if seen else 0
        if int(first.removeprefix("old ")) != size:
            return 409, "text/x.tlog.size", f"{size}\n".encode()
        path = [base64.b64decode(each) for each in proof]
        if seen and not verify_consistency(
            size, checkpoint.tree_size, seen.root_hash, checkpoint.root_hash, path
        ):
            return 422, "", b""
        place.seen[origin] = checkpoint
        return 200, "text/plain", b""

    async with served(answer, place):
        yield place


@asynccontextmanager
async def syslog() -> AsyncIterator[Place]:
    """A server that takes messages with their length before them (RFC 5425)."""
    place = Place()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        length = int((await reader.readuntil(b" ")).decode())
        place.notes.append((await reader.readexactly(length)).decode())
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    place.url = str(server.sockets[0].getsockname()[1])
    try:
        yield place
    finally:
        server.close()
