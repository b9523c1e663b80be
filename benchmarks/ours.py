"""Ours: runs of published processes, carried out in this process by `coe.execution.advance`.

Everything is as it is in service: the lease is taken, facts and outputs are sealed with the team's
key, steps are projected for people, the end is recorded in the audit log. Only the leaf is trivial:
it gives a small object and does no I/O. The request, which `startRun` writes in its transaction,
is there before; that the run started, with its input, is a fact of its journal.
"""

from __future__ import annotations

import contextlib
import platform as machine
import sys
from collections import deque
from collections.abc import AsyncIterator
from importlib.metadata import version
from pathlib import Path
from uuid import UUID

import contender
from processes import START, bench_platform, published, sequence

from coe.catalog.flows.contents import runnable
from coe.catalog.records import RunnableFlow
from coe.execution.advance import Finished, advance
from coe.execution.runtime import Runtime
from coe.json_types import JSON
from coe.language.expressions.evaluator import Expressions
from coe.machine.commands import RunLeaf
from coe.runs.models import RunState
from coe.runs.requests import NewRun, insert_request, seal_request
from coe.work import Platform


class Ours:
    """A runtime with trivial leaves."""

    def __init__(self, platform: Platform, runtime: Runtime) -> None:
        self.platform = platform
        self.runtime = runtime
        self._flows: dict[int, RunnableFlow] = {}
        self.asked: deque[UUID] = deque()
        self.versions = {
            name: version(name) for name in ("coe", "asyncpg", "sqlalchemy", "cryptography")
        } | {"python": machine.python_version()}

    async def prepare(self, runs: int, steps: int) -> None:
        """Publish the process of so many steps, once; request the runs, as `startRun` does."""
        if steps not in self._flows:
            ref = await published(self.platform, sequence(steps))
            async with self.platform.database.session() as session:
                self._flows[steps] = await runnable(session, self.platform, ref)
        self.asked += [await self._ask(self._flows[steps]) for _ in range(runs)]

    async def run(self, steps: int) -> None:  # noqa: ARG002  # as contenders have it
        """Carry out a run that was asked for: the lease, its start, its steps, its end."""
        finished = await advance(self.runtime, self.asked.popleft())
        assert finished == Finished(RunState.COMPLETED), finished

    async def _ask(self, flow: RunnableFlow) -> UUID:
        now = self.platform.clock()
        new = NewRun(flow, {"customer": "Ada"}, "bench", START, now, START.subject, [START.subject])
        row = await seal_request(self.platform.keyring, new)
        async with self.platform.database.session() as session:
            await insert_request(session, row)
            await session.commit()
        run_id: UUID = row["id"]
        return run_id


async def perform(leaf: RunLeaf) -> JSON:
    """Do nothing, durably."""
    return {"step": leaf.name}


@contextlib.asynccontextmanager
async def opened() -> AsyncIterator[Ours]:
    """CoE over the database of the first argument, with its keys in the folder of the second."""
    async with bench_platform(sys.argv[1], Path(sys.argv[2])) as platform, Expressions() as jq:
        runtime = Runtime(platform, perform=perform, evaluate=jq.evaluate)
        await runtime.start()
        try:
            yield Ours(platform, runtime)
        finally:
            await runtime.close()


if __name__ == "__main__":
    contender.main(opened)
