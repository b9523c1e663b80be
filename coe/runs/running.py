"""A runtime with its real parts: the pool of expression workers, and HTTP for the leaves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from coe.db import JSON
from coe.language.expressions import Expressions
from coe.runs.commands import RunLeaf
from coe.runs.leaves import Handler, LeafFault, LeafIO, run_leaf
from coe.runs.leaves_transport import open_client
from coe.runs.runtime import LeafDone, LeafFailed, Perform, Runtime
from coe.work import Platform


@asynccontextmanager
async def running(
    platform: Platform,
    *,
    secrets: Mapping[str, JSON] | None = None,
    handlers: Mapping[str, Handler] | None = None,
) -> AsyncIterator[Runtime]:
    """A started runtime; at the end its parts are closed, and what it still holds goes elsewhere.

    `secrets` are what definitions may declare; `handlers` carry out leaves that are not HTTP.
    """
    settings = platform.settings
    async with (
        open_client() as client,
        Expressions(workers=settings.expression_workers) as expressions,
    ):
        io = LeafIO(client=client, resolve=settings.resolve, handlers=handlers or {})
        runtime = Runtime(
            platform,
            perform=performing(io),
            evaluate=expressions.evaluate,
            secrets=secrets,
        )
        await runtime.start()
        try:
            yield runtime
        finally:
            await runtime.close()


def performing(io: LeafIO) -> Perform:
    """Leaves over HTTP, their faults as values."""

    async def perform(command: RunLeaf) -> LeafDone | LeafFailed:
        try:
            return LeafDone(await run_leaf(command, io))
        except LeafFault as fault:
            return LeafFailed(fault.error)

    return perform
