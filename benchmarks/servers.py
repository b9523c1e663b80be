"""The servers of a benchmark: a durable PostgreSQL, and Prefect's server over it."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from race import KEPT

from coe.embedded_postgres import EmbeddedPostgres
from coe.engines.prefect_server import PrefectServer, make_auth_string, wait_until_healthy


@dataclass(frozen=True, slots=True)
class Prefect:
    """The address of Prefect's server, its credentials, and its process."""

    api_url: str
    auth: str
    pid: int


@asynccontextmanager
async def postgres_server(
    folder: Path, databases: Sequence[str]
) -> AsyncIterator[EmbeddedPostgres]:
    """A PostgreSQL with its own settings (so fsync is on), with these databases."""
    server = EmbeddedPostgres(folder / "postgres")
    await asyncio.to_thread(server.start)
    try:
        await server.prepare(dict.fromkeys(databases, "postgres"))
        yield server
    finally:
        await asyncio.to_thread(server.stop)


@asynccontextmanager
async def prefect_server(folder: Path, database_url: str) -> AsyncIterator[Prefect]:
    """Prefect's server as we run it, on a free port of loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = PrefectServer(folder / "prefect", database_url, make_auth_string(), port=port)
    inherited = {name: os.environ[name] for name in KEPT if name in os.environ}
    with (folder / "prefect-server.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *server.command(),
            env=inherited | server.environment(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        await wait_until_healthy(server.api_url)
        yield Prefect(server.api_url, server.auth, process.pid)
    finally:
        process.terminate()
        await process.wait()
