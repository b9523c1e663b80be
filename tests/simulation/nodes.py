"""Simulated processes: they die at any call, pause, lose the network, have wrong clocks."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Coroutine
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from coe.engines.prefect_engine import PrefectEngine
from coe.execution.leaf_tasks import StepFailedError
from coe.execution.loops import Loops
from coe.execution.runtime import Runtime
from coe.runs.leases import Lease
from coe.work import Platform
from tests.simulation import seams
from tests.simulation.server import SimulatedDatabase

if TYPE_CHECKING:
    from tests.simulation.world import World

HELD: contextvars.ContextVar[Lease | None] = contextvars.ContextVar("simulated_lease", default=None)


class SimulatedRuntime(Runtime):
    """The platform's runtime, whose leaves know under which lease they were started."""

    def hold(self, lease: Lease) -> Any:
        HELD.set(lease)
        return super().hold(lease)


class Node:
    """One process: executor, dispatcher, timers, reaper, and a door for people's verbs."""

    def __init__(self, world: World, number: int) -> None:
        self.world, self.name = world, f"node-{number}"
        self.alive = True
        self.paused_until = 0.0
        self.cut_until = 0.0
        self.doomed = False
        """To be paused at its next append, until another process has the run."""
        self.skew = timedelta(seconds=world.dice.uniform(-world.skew, world.skew))
        self.context = contextvars.copy_context()
        self.context.run(seams.NODE.set, self)
        self.dice = seams.dice(world.seed, self.name)
        self.database = SimulatedDatabase(world.server, self)
        self.platform = Platform(
            settings=world.settings,
            database=self.database,  # type: ignore[arg-type]  # the twin
            policies=seams.OpenPolicies(),  # type: ignore[arg-type]  # the same
            keyring=seams.ClearKeys(),  # type: ignore[arg-type]  # the same
            signer=seams.NoSigner(),  # type: ignore[arg-type]  # nothing is signed
            macs=seams.NoCodes(),  # type: ignore[arg-type]  # the same
            clock=self.clock,
            computing=seams.ComputedAtOnce(),
        )
        self.runtime: SimulatedRuntime | None = None
        self.engine: PrefectEngine | None = None
        self.loops: Loops | None = None
        self.executions: dict[str, asyncio.Task[None]] = {}

    def clock(self) -> datetime:
        """What this process believes the time to be."""
        return self.world.clock() + self.skew

    def spawn(self, work: Coroutine[Any, Any, Any], name: str = "") -> asyncio.Task[Any]:
        """Run something in this process."""
        return asyncio.get_running_loop().create_task(
            work, name=f"{self.name}:{name}", context=self.context.copy()
        )

    # ------------------------------------------------------------------ life

    async def start(self) -> None:
        """Begin as a worker process does."""
        self.runtime = SimulatedRuntime(
            self.platform,
            perform=self.world.external.perform,
            evaluate=self.world.expressions.evaluate,
        )
        await self.runtime.start()
        self.engine = PrefectEngine(
            self.world.prefect.door(self),  # type: ignore[arg-type]  # the twin
            central_pool="central",
        )
        self.loops = Loops(self.platform, self.engine)
        await self.loops.start()
        self.spawn(self.world.prefect.work(self), "worker")

    def kill(self) -> None:
        """Die at once: nothing of this process happens any more."""
        if not self.alive:
            return
        self.alive = False
        self.world.note(f"{self.name} dies")
        if self.dice.random() < 0.8:  # the kernel closes the connections; a dead host cannot
            self.world.server.drop(self)
        else:
            delay = self.dice.uniform(0.1, 5)
            self.world.loop.call_later(delay, self.world.server.drop, self)

    async def stop(self) -> None:
        """End in order, as at SIGTERM: what it holds is given up."""
        self.world.note(f"{self.name} is stopped")
        assert self.runtime is not None  # it was started
        assert self.loops is not None  # the same
        self.stopping = True
        await self.loops.close()
        for task in list(self.executions.values()):
            task.cancel()
        await asyncio.gather(*self.executions.values(), return_exceptions=True)
        await self.runtime.close()
        self.kill()

    stopping = False
    stalled = False

    # ------------------------------------------------------------------ the link to everything

    async def request(self, what: str) -> None:
        """Something goes out: to the database, the engine, a system."""
        await self._pass(f"before {what}")

    async def response(self, what: str) -> None:
        """An answer comes in; mostly, its time is counted with that of the request."""
        await self._pass(f"after {what}", quick=self.dice.random() < 0.8)

    async def _pass(self, point: str, *, quick: bool = False) -> None:
        world = self.world
        if not self.alive:
            await world.never()
        world.faults.at(self, point)
        if not quick:
            await asyncio.sleep(self._latency())
        await self.rest()
        if not self.alive:
            await world.never()
        if self.cut_until > world.loop.time():
            await asyncio.sleep(self.dice.uniform(0, 1))
            if not self.alive:
                await world.never()
            if self.cut_until > world.loop.time():
                world.server.drop(self)
                raise ConnectionResetError("the network is cut")

    async def rest(self) -> None:
        """Until the process is no longer paused; the pause may be ended before its time."""
        while self.alive and (left := self.paused_until - self.world.loop.time()) > 0:
            await asyncio.sleep(min(left, 0.25))

    def _latency(self) -> float:
        chance = self.dice.random()
        if chance < 0.97:  # mostly quick
            return chance * 0.002
        return self.dice.uniform(0.01, 0.4)


def run_of(lease: Lease | None) -> UUID | None:
    """Which run a leaf belongs to."""
    return lease.run_id if lease is not None else None


__all__ = ["HELD", "Node", "SimulatedRuntime", "StepFailedError", "run_of"]
