"""Plain Prefect: a flow that awaits trivial tasks, on the same server with the same settings."""

from __future__ import annotations

import os
import sys
from importlib.metadata import version
from pathlib import Path

import contender

from coe.engines.prefect_server import worker_environment

API_URL, AUTH, HOME = sys.argv[1:4]
os.environ |= worker_environment(api_url=API_URL, auth=AUTH, home=Path(HOME))

from prefect import flow, task  # noqa: E402  # it reads the environment
from prefect.cache_policies import NO_CACHE  # noqa: E402  # the same


@task(cache_policy=NO_CACHE, persist_result=False, log_prints=False)
async def step(place: int) -> dict[str, int]:
    """Do nothing."""
    return {"step": place}


@flow(name="plain", validate_parameters=False, persist_result=False)
async def process(steps: int) -> None:
    """Do the steps, one after the other."""
    for place in range(steps):
        await step(place)


class Plain:
    """Flow runs in this process."""

    def __init__(self) -> None:
        self.versions = {"prefect": version("prefect")}

    async def prepare(self, runs: int, steps: int) -> None:
        """Nothing."""

    async def run(self, steps: int) -> None:
        """Carry out a flow run, as Prefect does when a flow is called."""
        await process(steps)


if __name__ == "__main__":
    contender.main(lambda: contender.simple(Plain()))
