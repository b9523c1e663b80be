"""Fixtures: the Prefect server of the test session, and installations that use it."""

from __future__ import annotations

import asyncio
import itertools
import os
import subprocess
import tempfile
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from coe.embedded_postgres import EmbeddedPostgres
from coe.engines.prefect_http import PrefectHTTP
from coe.engines.prefect_server import PrefectServer, wait_until_healthy, worker_environment
from coe.work import Platform
from tests.factories.prefect import House, http_to, inherited, remove_pools, server_of

_pools = itertools.count()

# Set before any test imports Prefect: its files stay in a folder of this session, and it connects
# to nothing outside of this machine.
os.environ |= worker_environment(
    api_url="http://127.0.0.1:9/api",
    auth="tests:none",
    home=Path(tempfile.mkdtemp(prefix="coe-tests-prefect-")),
)


def apart(work: Coroutine[Any, Any, None]) -> None:
    """Run it in a thread's own loop, for a test may ask for the fixture inside of one."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, work).result()


@pytest.fixture(scope="session")
def prefect(
    postgres: EmbeddedPostgres,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[PrefectServer]:
    """A Prefect server of this session, healthy, over its own database."""
    apart(postgres.prepare({"prefect": "postgres"}))
    folder = tmp_path_factory.mktemp("prefect")
    server = server_of(postgres, folder)
    with (folder / "prefect.log").open("wb") as sink:
        process = subprocess.Popen(
            server.command(),
            env=inherited() | server.environment(),
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            start_new_session=True,
        )
        try:
            apart(wait_until_healthy(server.api_url))
            yield server
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@pytest.fixture
async def http(prefect: PrefectServer) -> AsyncIterator[PrefectHTTP]:
    """A client with the server's own auth string; afterwards the server has no pool."""
    async with http_to(prefect) as client:
        yield client
    await remove_pools(prefect)


@pytest.fixture
async def house(prefect: PrefectServer, platform: Platform, tmp_path: Path) -> AsyncIterator[House]:
    """An installation whose processes the test starts; they are ended with the test."""
    made = House(platform, prefect, tmp_path, pool=f"central-{next(_pools)}")
    yield made
    await made.end()
    await remove_pools(prefect)
