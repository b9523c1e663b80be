"""DBOS: a workflow of trivial steps, its system database in the same PostgreSQL."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import AsyncIterator
from importlib.metadata import version

import contender
from dbos import DBOS, DBOSConfig


@DBOS.step()
async def step(place: int) -> dict[str, int]:
    """Do nothing, durably."""
    return {"step": place}


@DBOS.workflow()
async def process(steps: int) -> int:
    """Do the steps, one after the other."""
    for place in range(steps):
        await step(place)
    return steps


class Dbos:
    """DBOS, with its own defaults."""

    def __init__(self) -> None:
        self.versions = {"dbos": version("dbos"), "psycopg": version("psycopg")}

    async def prepare(self, runs: int, steps: int) -> None:
        """Nothing."""

    async def run(self, steps: int) -> None:
        """Carry out a workflow."""
        await process(steps)


@contextlib.asynccontextmanager
async def opened() -> AsyncIterator[Dbos]:
    """DBOS over the database that the first argument names."""
    config = DBOSConfig(
        name="bench", system_database_url=sys.argv[1], console_log_level="ERROR", log_level="ERROR"
    )
    DBOS(config=config)
    DBOS.launch()
    yield Dbos()
    DBOS.destroy()


if __name__ == "__main__":
    contender.main(opened)
