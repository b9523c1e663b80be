"""Execute a local run: claim it, send heartbeats, run its steps once, report its end."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import traceback
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Final

import httpx

from coe.errors import CoeError, Conflict, Invalid
from coe.formats import durations
from coe.sdk.client import Client, problem_of

MAX_OUTAGE: Final = 600.0
"""The seconds for which a local run waits for an API that is not available."""
ERROR_TYPES: Final = "https://open-workflow-specification.org/spec/1.0.0/errors/"
HEARTBEAT_SECONDS: Final = 2.0
RELEASE_SECONDS: Final = 2.0
"""For giving a run up while the worker is stopped: its supervisor kills it some seconds later."""
EXECUTION: Final[ContextVar[dict[str, str] | None]] = ContextVar("coe_execution", default=None)
"""Set by a worker for one execution of a flow: the runs that it tried to claim, with their tokens.

Within one execution a run is claimed with one token, so that claiming it again returns the attempt.
"""

TRIAL: Final[ContextVar[Client | None]] = ContextVar("coe_trial", default=None)
"""The client of a trial in a test (`coe.sdk.testing`)."""

_CLAIM: Final = """
mutation Claim($input: ClaimRunInput!) {
  claimRun(input: $input) { claim { attempt input done heartbeatEvery } problems { message } }
}
"""
_HEARTBEAT: Final = """
mutation Heartbeat($input: HeartbeatRunInput!) { heartbeatRun(input: $input) { run { state } } }
"""
_RELEASE: Final = """
mutation Release($input: ReleaseRunInput!) { releaseRun(input: $input) { run { state } } }
"""
_STEP: Final = """
mutation Step($input: ReportStepInput!) {
  reportStep(input: $input) { problems { code message path } }
}
"""
_END: Final = """
mutation End($input: ReportRunInput!) {
  reportRun(input: $input) { problems { code message path } }
}
"""

_log = logging.getLogger(__name__)


class RunNotOurs(Conflict):
    """The run has ended, or another worker executes it: this execution stops without a report."""


class LocalRunFailed(CoeError):
    """The local run faulted; the platform stores its error under this error id."""


class Fault(CoeError):
    """An error of the process language (RFC 7807), which the calling flow can catch by its type.

    Args:
        kind: A standard type, such as "validation", or your own URI.
        status: An HTTP status.
        title: A short text, without data.
        detail: What happened; it is stored encrypted, and may contain data.
    """

    def __init__(self, kind: str, *, status: int, title: str, detail: str | None = None) -> None:
        """Create the error."""
        super().__init__(title)
        self.error: dict[str, Any] = {
            "type": kind if ":" in kind else ERROR_TYPES + kind,
            "status": status,
            "title": title,
        }
        if detail is not None:
            self.error["detail"] = detail


class LocalRun:
    """A local run that this process executes: its input, its steps, its output.

    Attributes:
        id: The run's UUID.
        input: The run's input; it conforms to the flow's input schema.
        output: Set by the flow; it must conform to the flow's output schema.
        heartbeat_every: The seconds between two heartbeats.
    """

    def __init__(self, client: Client, run_id: str, claim: Mapping[str, Any]) -> None:
        """`claim` is the response of `claimRun`."""
        self.id = run_id
        self.input: Any = claim["input"]
        self.output: Any = None
        self._client = client
        self._attempt: int = claim["attempt"]
        self._done: dict[str, Any] = dict(claim["done"])
        self.heartbeat_every = _seconds(claim["heartbeatEvery"])

    def key(self, step: str) -> str:
        """An idempotency key for a step, the same in every attempt of this run (SHA-256, hex)."""
        return hashlib.sha256(f"{self.id}\n{step}".encode()).hexdigest()

    async def step(self, name: str, call: Callable[[], Awaitable[Any]]) -> Any:
        """Execute a step of the run once; a completed step returns its stored output.

        The output must be JSON. A step that is running when the process dies may be executed
        again, so use `key(name)` as the idempotency key of its calls.

        Raises:
            Exception: Any that the call raises; it is reported as the step's error.
        """
        if name in self._done:
            return self._done[name]
        await self._report(_STEP, name=name, state="RUNNING")
        try:
            output = await call()
        except Exception as error:
            await self._report(_STEP, name=name, state="FAULTED", error=_as_error(error))
            raise
        await self._report(_STEP, name=name, state="COMPLETED", output=output)
        self._done[name] = output
        return output

    async def heartbeat(self) -> None:
        """Report that this process still executes the run.

        Raises:
            RunNotOurs: It does not any more.
        """
        await self._report(_HEARTBEAT)

    async def release(self) -> None:
        """Give the run up, so that another worker takes it at once; completed steps stay so.

        Raises:
            RunNotOurs: It is not this worker's any more.
        """
        await self._report(_RELEASE)

    async def end(self, *, error: Mapping[str, Any] | None = None) -> None:
        """Report the output, or the error."""
        if error is None:
            await self._report(_END, output=self.output)
        else:
            await self._report(_END, error=error)

    async def _report(self, mutation: str, **fields: Any) -> None:
        given = {"run": self.id, "attempt": self._attempt, **fields}
        try:
            data = await self._client.execute(mutation, {"input": given}, repeatable=True)
        except Conflict as error:
            raise RunNotOurs(error.message) from None
        for payload in data.values():
            if payload.get("problems"):
                raise Invalid([problem_of(each) for each in payload["problems"]])


@asynccontextmanager
async def local_run(
    run_id: str,
    *,
    client: Client | None = None,
) -> AsyncIterator[LocalRun]:
    """Claim a local run, send heartbeats during the block, and report the block's end.

    The platform's address and the team's token come from `COE_URL` and `COE_TOKEN`. While the
    platform is not available, all calls wait. An exception of the block is the run's error: the
    platform stores it encrypted, and Prefect only gets `LocalRunFailed` with an error id. A worker
    that is stopped cancels the block; the run is then given up, and another worker takes it.

    Args:
        run_id: The flow's parameter.
        client: Used instead of the one from the environment.

    Raises:
        RunNotOurs: The run has ended, or another worker executes it.
        LocalRunFailed: The block raised an exception.
    """
    async with _opened(client) as own:
        run = await _claim(own, run_id)
        try:
            async with _heartbeats(run):
                yield run
            await run.end()
        except RunNotOurs:
            raise
        except asyncio.CancelledError:
            await _release(run)
            raise
        except Exception as error:  # noqa: BLE001  # whatever a team's code raises
            raise await _fail(run, error) from None


@asynccontextmanager
async def held_run(run_id: str, *, client: Client | None = None) -> AsyncIterator[LocalRun]:
    """Claim a local run and send heartbeats during the block, without reporting an end.

    For a worker that prepares to execute the run: within the same execution, `local_run` then gets
    the attempt that is claimed here.

    Raises:
        RunNotOurs: The run has ended, or another worker executes it.
    """
    async with _opened(client) as own:
        run = await _claim(own, run_id)
        try:
            async with _heartbeats(run):
                yield run
        except asyncio.CancelledError:
            await _release(run)
            raise


@asynccontextmanager
async def _opened(client: Client | None) -> AsyncIterator[Client]:
    """The client, that of a trial, or one of the environment for the block."""
    given = client or TRIAL.get()
    if given is not None:
        yield given
        return
    url, token = os.environ["COE_URL"], os.environ["COE_TOKEN"]
    async with Client(url, token, patience=MAX_OUTAGE) as own:
        yield own


async def _claim(client: Client, run_id: str) -> LocalRun:
    """Claim the run; the token lets the claim be sent again when its answer is lost."""
    token = str(uuid.uuid4())
    execution = EXECUTION.get()
    if execution is not None:
        token = execution.setdefault(run_id, token)
    try:
        answer = await client.execute(
            _CLAIM, {"input": {"run": run_id, "token": token}}, repeatable=True
        )
    except Conflict as error:
        raise RunNotOurs(error.message) from None
    return LocalRun(client, run_id, answer["claimRun"]["claim"])


async def _release(run: LocalRun) -> None:
    """Give the run up if there is time; else its lease expires a little later."""
    try:
        async with asyncio.timeout(RELEASE_SECONDS):
            await run.release()
    except (CoeError, TimeoutError) as error:
        _log.warning("run %s was not released (%s)", run.id, type(error).__name__)


@asynccontextmanager
async def _heartbeats(run: LocalRun) -> AsyncIterator[None]:
    """Send heartbeats during the block; stop the block when another worker has the run."""
    holder = asyncio.current_task()
    lost = False

    async def beat() -> None:
        nonlocal lost
        while True:
            await asyncio.sleep(run.heartbeat_every)
            try:
                await run.heartbeat()
            except RunNotOurs:
                lost = True
                if holder is not None:
                    holder.cancel()
                return
            except CoeError as error:
                _log.warning("run %s: a heartbeat failed (%s)", run.id, error.code)
            except Exception as error:  # noqa: BLE001  # the next one may succeed
                _log.warning("run %s: a heartbeat failed (%s)", run.id, type(error).__name__)

    beating = asyncio.create_task(beat())
    try:
        try:
            yield
        finally:
            beating.cancel()
            await asyncio.gather(beating, return_exceptions=True)
    except asyncio.CancelledError:
        if not lost or holder is None:
            raise
        holder.uncancel()
        raise RunNotOurs from None


async def _fail(run: LocalRun, error: Exception) -> LocalRunFailed:
    """Report the error of the block; returns the error for Prefect, without data."""
    error_id = str(uuid.uuid4())
    place = traceback.extract_tb(error.__traceback__)[-1] if error.__traceback__ else None
    where = f"{Path(place.filename).name}:{place.lineno}" if place else "?"
    _log.error("run %s faulted: %s at %s (error %s)", run.id, type(error).__name__, where, error_id)
    try:
        await run.end(error=_as_error(error))
    except (Invalid, TypeError, ValueError):  # its texts are no JSON: halves of surrogate pairs
        await run.end(error=_plain_error(type(error).__name__))
    return LocalRunFailed(f"the local run faulted; see run {run.id} (error {error_id})")


def _as_error(error: Exception) -> dict[str, Any]:
    """Convert an exception to an error of the process language."""
    if isinstance(error, Fault):
        return error.error
    if isinstance(error, httpx.HTTPStatusError):
        return {
            "type": ERROR_TYPES + "communication",
            "status": error.response.status_code,
            "title": "A system of the team answered with an error",
            "detail": f"{error.request.method} {error.request.url.path}",
        }
    if isinstance(error, httpx.TransportError):
        return {
            "type": ERROR_TYPES + "communication",
            "status": 503,
            "title": "A system of the team cannot be reached",
            "detail": type(error).__name__,
        }
    return _plain_error(f"{type(error).__name__}: {error}")


def _plain_error(detail: str) -> dict[str, Any]:
    return {
        "type": ERROR_TYPES + "runtime",
        "status": 500,
        "title": "The local flow raised an exception",
        "detail": detail,
    }


def _seconds(duration: str) -> float:
    """The seconds of an ISO 8601 duration, or the usual ones if it is not one."""
    try:
        return durations.read(duration).total_seconds() or HEARTBEAT_SECONDS
    except durations.DurationError:
        return HEARTBEAT_SECONDS
