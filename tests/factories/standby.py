"""A real streaming standby of a PostgreSQL server of its own."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from coe.embedded_postgres import EmbeddedPostgres

NAME = "coe_standby"
_FOUND = f"SELECT EXISTS (SELECT FROM pg_stat_replication WHERE application_name = '{NAME}'"
STREAMS = f"{_FOUND} AND state = 'streaming')"
IN_SYNC = f"{_FOUND} AND sync_state = 'sync')"


@dataclass(frozen=True)
class Pair:
    """A primary and its standby, both on this machine."""

    primary: EmbeddedPostgres
    standby: EmbeddedPostgres

    async def tell(self, server: EmbeddedPostgres, *statements: str) -> Any:
        """Execute statements one by one; gives the first value of the last."""
        connection = await asyncpg.connect(server.url("postgres"))
        try:
            answer = None
            for statement in statements:
                answer = await connection.fetchval(statement)
            return answer
        finally:
            await connection.close()

    async def until(self, server: EmbeddedPostgres, question: str) -> None:
        """Wait until the server answers with true."""
        async with asyncio.timeout(60):
            while not await self.tell(server, question):
                await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def pair() -> AsyncIterator[Pair]:
    """A primary, and a standby that `pg_basebackup` has made of it and that streams."""
    folder = Path(tempfile.mkdtemp(prefix="coe-pair-"))
    primary = EmbeddedPostgres(folder / "primary")
    standby = EmbeddedPostgres(folder / "standby")
    try:
        await asyncio.to_thread(primary.start)
        await asyncio.to_thread(_copy, primary, folder)
        await asyncio.to_thread(standby.start)
        made = Pair(primary, standby)
        await made.until(primary, STREAMS)
        yield made
    finally:
        for server in (standby, primary):
            await asyncio.to_thread(server.stop)
        shutil.rmtree(folder, ignore_errors=True)


def _copy(primary: EmbeddedPostgres, folder: Path) -> None:
    """Copy the primary's files, and say in the copy whom it follows."""
    from_primary = f"{primary.url('postgres')}&application_name={NAME}"
    command = [str(primary._bin / "pg_basebackup"), "--dbname", from_primary]
    command += [
        "--write-recovery-conf",
        "--pgdata",
        str(folder / "standby"),
        "--checkpoint",
        "fast",
    ]
    if primary._user:
        for place in (folder, folder / "primary" / "server.log"):
            shutil.chown(place, primary._user)
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, cwd="/", **primary._identity()
    )
    if done.returncode:
        raise RuntimeError(f"pg_basebackup failed:\n{done.stderr}")
