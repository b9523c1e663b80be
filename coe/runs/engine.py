"""The port to what carries out runs: an engine gets ids, never data.

The contract, which `tests/engines/conformance` checks for every engine:

* **What is durable** is ours: the run, its journal, its inbox and its timers are in our database.
  An engine may forget everything; it is then asked again. It never needs to remember a result.
* **What may be retried**: every method. Dispatch calls each at least once, from any process, maybe
  twice at once and maybe after the thing has already happened. `request` with the same run and
  attempt gives the same engine run (use `RunRef.idempotency_key`). `wake` for a run that is
  running, parked, dead or unknown to the engine ends in a call of `advance` (or of the local flow's
  code) that begins after `wake` was called, unless one is running and holds the lease. `cancel` of
  something unknown or ended is no error.
* **What may run at once**: many runs; and, after a crash or a doubled call, two executions of one
  run. The lease and its fence (`coe.runs.journal`) let only one of them write, so an engine needs
  no lock of its own.
* **What an engine does** for a central run: call `coe.execution.advance.advance` in a worker, then
  act on what it gives: `Parked` frees everything, `Finished` ends the engine's run, `LostLease`
  means that another holds the run: leave it alone. For a local run: start the team's code with the
  run id, in the team's own place of work.
* **Errors**: `Unavailable` when the engine cannot be reached (dispatch tries again, with growing
  pauses, for ever); any other `CoeError` is logged by its code and tried again too. Messages hold
  ids only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol
from uuid import UUID


@dataclass(frozen=True, slots=True)
class RunRef:
    """What an engine may know of a run.

    `flow` is "namespace/name@version", exact. `attempt` is 0 for the first request of a run and
    larger when it is started anew (a retry, a local run whose worker died).
    """

    id: UUID
    flow: str
    team: str
    local: bool
    attempt: int = 0
    engine_run_id: str | None = None
    trace_id: str | None = None

    @property
    def idempotency_key(self) -> str:
        """One value for each run and attempt, the same in every process."""
        return f"{self.id}:{self.attempt}"


@dataclass(frozen=True, slots=True)
class EngineRun:
    """What an engine tells of the run that it made: its own id, and the page of it if any."""

    id: str
    url: str | None = None


@dataclass(frozen=True, slots=True)
class LocalFlowRef:
    """A published version of a team's local flow: what its deployment needs.

    `entrypoint` is "path below the content root:function", as Prefect names a flow.
    """

    version_id: UUID
    flow: str
    version: str
    team: str
    entrypoint: str


@dataclass(frozen=True, slots=True)
class EngineHealth:
    """Whether an engine answers, and in a few words why not; `queued` requests wait for it."""

    name: str
    ready: bool
    detail: str
    queued: int = 0


class Engine(Protocol):
    """What carries out runs. The module's text is the contract."""

    name: str

    async def request(self, run: RunRef) -> EngineRun:
        """Have the run carried out, soon; give the engine's own run."""

    async def wake(self, run: RunRef) -> EngineRun:
        """Have a parked (or dead) run go on; give the engine's run, a new one if the old ended."""

    async def cancel(self, run: RunRef) -> None:
        """Stop what the engine still does for the run; the run's own state is already decided."""

    async def deploy(self, flow: LocalFlowRef) -> None:
        """Make a team's local flow startable: its pool and its deployment, again and again."""

    async def health(self) -> EngineHealth:
        """Whether the engine answers; never raises."""

    async def close(self) -> None:
        """Let go of connections and tasks; runs go on when an engine is started again."""
