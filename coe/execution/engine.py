"""The port to the engines that carry out runs: an engine gets ids, never data.

The contract, which `tests/engines/conformance` checks for every engine:

* **Durability**: the run, its journal, its inbox and its timers are in the platform's database. An
  engine may forget everything; it is then asked again. It need not remember a result.
* **Retries**: every method may be retried. Dispatch calls each at least once, from any process,
  maybe twice at once and maybe after it has already taken effect. `request` with the same run and
  attempt returns the same engine run (use `RunRef.idempotency_key`). `wake` for a run that is
  running, parked, dead or unknown to the engine results in a call of `advance` (or of the local
  flow's code) that starts after `wake` was called, unless one is running and holds the lease.
  `cancel` of an unknown or ended run is no error, and neither is `settle`.
* **Concurrency**: many runs; and, after a crash or a doubled call, two executions of one run. The
  lease and its fence (`coe.runs.journal`) let only one of them write, so an engine needs no lock.
* **Duties**: for a central run, call `coe.execution.advance.advance` in a worker and act on its
  result: `Parked` frees everything, `Finished` ends the engine's run, `LostLease` means that
  another holder has the run: leave it alone. `HandedOver` means that this process is to end: have
  another one call `advance`. For a local run, start the team's code with the run
  id, where the team's worker runs.
* **Errors**: `Unavailable` when the engine cannot be reached (dispatch tries again, with growing
  pauses, for ever); any other `CoeError` is logged by its code and tried again too. Messages hold
  ids only.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol
from uuid import UUID

from coe.runs.models import RunState


@dataclass(frozen=True, slots=True)
class RunRef:
    """What an engine may know of a run.

    `flow` is "namespace/name@version", exact. `attempt` is 0 for the first request of a run and
    larger when it starts again (a retry, a local run whose worker died).
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
    """The run that an engine made: the engine's id of it, and the address of its page, if any."""

    id: str
    url: str | None = None


@dataclass(frozen=True, slots=True)
class StartedRun:
    """A run that the engine has handed to a worker and that has not ended: its id, and ours."""

    id: str
    run_id: UUID


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
    """Whether an engine answers, and a short reason if not; `queued` messages wait for it."""

    name: str
    ready: bool
    detail: str
    queued: int = 0


class Engine(Protocol):
    """Carries out runs. The docstring of the module is the contract."""

    name: str

    async def request(self, run: RunRef) -> EngineRun:
        """Have the run carried out soon; return the engine's run."""

    async def wake(self, run: RunRef) -> EngineRun:
        """Have a parked (or dead) run go on; return its engine run, a new one if the old ended."""

    async def cancel(self, run: RunRef) -> None:
        """Stop the engine's run; the state of the run itself is already decided."""

    async def prepare(self, team: str) -> None:
        """Let a team's worker ask for runs: make the team's pool, if it is missing."""

    async def deploy(self, flow: LocalFlowRef) -> None:
        """Make a team's local flow startable: its pool and its deployment, if they are missing."""

    async def started_runs(self, *, older_than: timedelta) -> list[StartedRun]:
        """Its runs that should be under way at a worker, and were due longer ago than that."""

    async def settle(self, started: StartedRun, state: RunState | None) -> None:
        """End the engine's run as the run ended; None: another engine run has taken its place."""

    async def health(self) -> EngineHealth:
        """Whether the engine answers; never raises."""

    async def close(self) -> None:
        """Close connections and stop tasks; runs go on when an engine starts again."""
