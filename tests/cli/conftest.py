"""The API over HTTP in this process, with an engine, for commands that are run in a thread."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvicorn
from click.testing import Result

from coe.demo.api import create_demo_app
from coe.settings import Settings
from coe.work import Platform
from tests.cli.commands import run
from tests.factories.ports import free_port
from tests.factories.runs import engine


@dataclass(frozen=True)
class Served:
    """A server, its platform, and the command line of its personas."""

    url: str
    platform: Platform

    async def coe(self, who: str, *arguments: str, stdin: str | None = None) -> Result:
        """Run a command as a persona."""
        given = {"COE_URL": self.url, "COE_TOKEN": f"demo-{who}"}
        return await asyncio.to_thread(run, *arguments, stdin=stdin, **given)


class _Server(uvicorn.Server):
    """A server that leaves the signals of the process to the tests."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@pytest.fixture
async def served(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Served]:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    app = create_demo_app(settings)
    config = uvicorn.Config(app, port=free_port(), log_config=None, access_log=False)
    server = _Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        assert not serving.done()
        await asyncio.sleep(0.01)
    platform = app.state.services.platform
    async with engine(platform):
        yield Served(f"http://127.0.0.1:{config.port}", platform)
    server.should_exit = True
    await serving
