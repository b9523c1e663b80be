"""Ours on Prefect: the central flow, its leaves as Prefect tasks, on the same server."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import AsyncIterator
from importlib.metadata import version
from pathlib import Path

import contender

from coe.engines.prefect_server import worker_environment

API_URL, AUTH, HOME = sys.argv[1:4]
os.environ |= worker_environment(api_url=API_URL, auth=AUTH, home=Path(HOME))
DATABASE, KEYS = sys.argv[4:6]
sys.argv[1:] = [DATABASE, KEYS]

import ours  # noqa: E402  # Prefect reads the environment

from coe.engines.central_flow import central_flow  # noqa: E402  # the same


class OnPrefect(ours.Ours):
    """The same runs, each carried by a flow run in this process."""

    async def run(self, steps: int) -> None:  # noqa: ARG002  # as contenders have it
        """Carry out a requested run within its own flow run."""
        flow = await central_flow(self.runtime)("")
        await flow(str(self.asked.popleft()))


@contextlib.asynccontextmanager
async def opened() -> AsyncIterator[OnPrefect]:
    """CoE with a separate runtime."""
    async with ours.opened() as inner:
        outer = OnPrefect(inner.platform, inner.runtime)
        outer.versions = {"prefect": version("prefect")}
        yield outer


if __name__ == "__main__":
    contender.main(opened)
