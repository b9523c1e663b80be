"""The API over HTTP in this process, with an engine, for commands that are run in a thread."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import Result

from coe.demo.api import create_demo_app
from coe.settings import Settings
from coe.work import Platform
from tests.cli.commands import run
from tests.factories.runs import engine
from tests.factories.servers import listening


@dataclass(frozen=True)
class Served:
    """A server, its platform, and the command line of its personas."""

    url: str
    platform: Platform

    async def coe(self, who: str, *arguments: str, stdin: str | None = None) -> Result:
        """Run a command as a persona."""
        given = {"COE_URL": self.url, "COE_TOKEN": f"demo-{who}"}
        return await asyncio.to_thread(run, *arguments, stdin=stdin, **given)


@pytest.fixture
async def served(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Served]:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    app = create_demo_app(settings)
    async with listening(app) as url:
        platform = app.state.services.platform
        async with engine(platform):
            yield Served(url, platform)
