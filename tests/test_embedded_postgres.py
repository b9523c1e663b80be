"""The embedded server: it starts, is taken over, and trusts no folder of somebody else."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from coe.embedded_postgres import EmbeddedPostgres


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="coe-tests-"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


async def test_a_running_server_is_taken_over(folder: Path) -> None:
    server = EmbeddedPostgres(folder / "data", ephemeral=True)
    server.start()
    try:
        first = server.pid
        again = EmbeddedPostgres(folder / "data", ephemeral=True)
        again.start()
        assert again.pid == first is not None
        await again.prepare({"coe": "coe"})
        connection = await asyncpg.connect(server.url("coe", user="coe"))
        assert await connection.fetchval("SELECT current_user") == "coe"
        await connection.close()
    finally:
        server.stop()
    assert server.pid is None
    assert not (folder / "data").exists()


async def test_a_killed_server_is_noticed_and_comes_back_with_its_data(folder: Path) -> None:
    server = EmbeddedPostgres(folder / "data")
    server.start()
    try:
        await server.prepare({"coe": "coe"})
        assert not server.died()
        killed = server.pid
        assert killed is not None
        os.kill(killed, signal.SIGKILL)
        while not server.died():
            time.sleep(0.02)
        server.start()
        assert server.pid not in {None, killed}
        connection = await asyncpg.connect(server.url("coe", user="coe"))
        await connection.close()
    finally:
        server.stop()
    assert server.pid is None


def test_a_socket_folder_that_is_a_link_is_refused(folder: Path) -> None:
    server = EmbeddedPostgres(folder / "data", ephemeral=True)
    socket = Path(server.url("postgres").split("host=")[1])
    (folder / "elsewhere").mkdir()
    socket.symlink_to(folder / "elsewhere")
    try:
        with pytest.raises(RuntimeError, match="another user owns"):
            server.start()
    finally:
        socket.unlink()
