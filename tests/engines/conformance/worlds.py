"""Worlds in which an engine is shown to keep its contract: one for each engine.

A world has a platform with its loops running, the engine that they call, and a worker that carries
central runs, which the test may kill. A further engine adds a function to `WORLDS` of the suite.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial

import httpx
import pytest

from coe.db import Database
from coe.engines.inline import InlineEngine, InlineLocalRun
from coe.execution.engine import Engine
from coe.execution.loops import Loops
from coe.execution.runtime import Runtime
from coe.json_types import JSON
from coe.language.expressions.evaluator import Expressions
from coe.leaves.leaf import LeafIO
from coe.leaves.run import run_leaf
from coe.work import Platform
from tests.factories.counting_service import Service, serving

LOCAL_FLOW = "warehouse/pick-and-pack"
"""The local flow for which every world has code: its step `pack` gives `{"parcel": order}`."""


@dataclass
class World:
    """What a conformance test works with.

    Attributes:
        platform: Over the same database as the worker.
        engine: The port, in this process.
        service: What leaves call: `https://erp.example.com/<name>` leads there.
        kill: End the worker as kill -9 does.
        revive: Start a worker again.
        team: Start the worker of the team that has the local flow.
    """

    platform: Platform
    engine: Engine
    service: Service
    kill: Callable[[], Awaitable[None]]
    revive: Callable[[], Awaitable[None]]
    team: Callable[[], Awaitable[object]]


async def here() -> None:
    """The in-process engine is the team's worker, too."""


async def pack(run: InlineLocalRun) -> JSON:
    """The local flow of the in-process world."""
    order = run.input["order"] if isinstance(run.input, dict) else None
    return {"parcel": await run.step("pack", lambda: asyncio.sleep(0, order))}


class _Reborn:
    """The in-process engine as the loops see it, whichever worker is alive."""

    name = "inline"
    inner: InlineEngine

    def __getattr__(self, name: str):
        return getattr(self.inner, name)


class _InlineWorker:
    """A runtime and its engine in this process, which can be cut off from the database."""

    def __init__(self, platform: Platform, service: Service, engine: _Reborn) -> None:
        self.platform, self.service, self.engine = platform, service, engine
        self.stack = AsyncExitStack()

    async def start(self) -> None:
        client = await self.stack.enter_async_context(httpx.AsyncClient(trust_env=False))
        expressions = await self.stack.enter_async_context(Expressions(workers=1))
        io = LeafIO(client=client, resolve={"erp.example.com": self.service.url})
        perform = partial(run_leaf, io=io)
        self.runtime = Runtime(self.platform, perform=perform, evaluate=expressions.evaluate)
        await self.runtime.start()
        self.stack.push_async_callback(self.runtime.close)
        self.engine.inner = InlineEngine(self.runtime, {LOCAL_FLOW: pack})
        self.stack.push_async_callback(self.engine.inner.close)

    async def kill(self) -> None:
        """Nothing that it does from now on reaches the database, not even that it gives up."""
        nowhere = Database("postgresql://coe@127.0.0.1:9/nowhere")
        cut_off = replace(self.platform, database=nowhere)
        for part in (self.runtime, self.engine.inner):
            for name in ("platform", "_platform"):
                if hasattr(part, name):
                    setattr(part, name, cut_off)
        self.runtime.journal._database = nowhere
        await self.stack.aclose()


@asynccontextmanager
async def inline(platform: Platform, _request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """Everything in this process."""
    engine = _Reborn()
    async with serving() as service:
        worker = _InlineWorker(platform, service, engine)
        await worker.start()
        loops = Loops(platform, engine)  # type: ignore[arg-type]  # it is one by delegation
        await loops.start()
        try:
            yield World(platform, engine, service, worker.kill, worker.start, here)  # type: ignore[arg-type]  # the same
        finally:
            service.release()
            await loops.close()
            await worker.stack.aclose()
