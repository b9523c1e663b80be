"""A team's flows: loaded from the team's folder by entrypoint; Prefect learns no data of theirs.

The folder belongs to the worker's machine, and its files are what runs. A changed file is loaded
again. A flow that cannot be loaded is tried again a few times, for its file may be about to arrive;
then its run faults with the reason. Meanwhile the worker holds the run, and notices if the run is
cancelled.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from pathlib import Path
from typing import Any, Final

from prefect import Flow, flow
from prefect.exceptions import Abort

from coe.db import new_id
from coe.engines.entrypoints import (
    LOAD_SECONDS,
    FlowBroken,
    find_entrypoint,
    in_thread,
    load_entrypoint,
)
from coe.sdk import Client, Fault, LocalRunFailed, RunNotOurs, local_run
from coe.sdk.local_run import EXECUTION, held_run

LOAD_PAUSES: Final = (1.0, 2.0, 4.0, 8.0)
"""Before further attempts to load a flow, in seconds.

Five attempts in a quarter of a minute: a deployment has copied its files by then, and what is
broken stays broken.
"""
BROKEN_FLOW: Final = "flow-that-cannot-be-loaded"

_log = logging.getLogger(__name__)
_Stamp = tuple[int, int]


class TeamFlows:
    """The flows below one folder, each loaded when first needed.

    `pauses` are those before further attempts. `client` is for runs of flows that cannot be loaded;
    by default it is made of `COE_URL` and `COE_TOKEN`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        pauses: tuple[float, ...] = LOAD_PAUSES,
        client: Client | None = None,
    ) -> None:
        self._folder = folder.resolve()
        self._pauses = pauses
        self._client = client
        self._loaded: dict[str, tuple[_Stamp, Flow[..., Any]]] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def load(self, entrypoint: str) -> Flow[..., Any]:
        """The flow of `path/below/the/folder.py:function`, or one that faults with the reason."""
        try:
            return await self.load_once(entrypoint)
        except FlowBroken as error:
            _log.warning("%s cannot be loaded: %s", entrypoint, error.message)
            return self._broken(entrypoint, error)

    async def load_once(self, entrypoint: str) -> Flow[..., Any]:
        """The flow, from memory unless its file has changed.

        Raises:
            FlowBroken: The file is not there, fails or hangs, or the function is no such flow.
        """
        async with self._locks.setdefault(entrypoint, asyncio.Lock()):
            stamp = self._stamp(entrypoint)
            found = self._loaded.get(entrypoint)
            if found is None or found[0] != stamp:
                found = self._loaded[entrypoint] = (
                    stamp,
                    self._quiet(await self._load(entrypoint)),
                )
        return found[1]

    def _stamp(self, entrypoint: str) -> _Stamp:
        path, _ = find_entrypoint(self._folder, entrypoint)
        try:
            status = path.stat()
        except OSError as error:
            title = "The local flow cannot be loaded: its file cannot be read"
            message = f"{path.name} cannot be read: {error.strerror}"
            raise FlowBroken(message, title=title) from None
        return status.st_mtime_ns, status.st_size

    async def _load(self, entrypoint: str) -> Flow[..., Any]:
        try:
            return await in_thread(LOAD_SECONDS, load_entrypoint, self._folder, entrypoint)
        except TimeoutError:
            name = Path(entrypoint.rpartition(":")[0]).name
            message = f"{name} is still being imported after {LOAD_SECONDS:.0f} seconds"
            title = "The local flow cannot be loaded: its file takes too long to be imported"
            raise FlowBroken(message, title=title) from None

    def _broken(self, entrypoint: str, error: FlowBroken) -> Flow[..., Any]:
        """A flow in place of one that could not be loaded."""

        async def load_again(run_id: str) -> None:
            async with held_run(run_id, client=self._client):
                found = await self._load_with_patience(entrypoint, error)
            if isinstance(found, Fault):
                async with local_run(run_id, client=self._client):
                    raise found
            await found.fn(run_id)

        return _without_data(flow(name=BROKEN_FLOW)(self._guarded(load_again)))

    async def _load_with_patience(
        self, entrypoint: str, error: FlowBroken
    ) -> Flow[..., Any] | Fault:
        """The flow, loaded at one of the further attempts, or the error that says why it is not."""
        for pause in self._pauses:
            await asyncio.sleep(pause)
            try:
                return await self.load_once(entrypoint)
            except FlowBroken as again:
                error = again
        attempts = len(self._pauses) + 1
        sentence = f"{error.message[:1].upper()}{error.message[1:]}."
        detail = f"{sentence} The worker tried {attempts} times to load {entrypoint}."
        return Fault("configuration", status=400, title=error.title, detail=detail)

    def _quiet(self, loaded: Flow[..., Any]) -> Flow[..., Any]:
        """The same flow; Prefect gets no result of it, and of an exception only an id."""
        copy = _without_data(loaded)
        copy.fn = self._guarded(loaded.fn)
        return copy

    def _guarded(self, call: Any) -> Any:
        """The function of a flow, which lets nothing out, and leaves no run that nobody has."""

        @functools.wraps(call)
        async def guarded(run_id: str) -> None:
            if EXECUTION.get() is None:
                EXECUTION.set({})
            failed: Exception | None = None
            try:
                await call(run_id)
            except RunNotOurs:
                raise Abort("the run is not this worker's") from None
            except (Abort, LocalRunFailed):
                raise
            except Exception as error:  # noqa: BLE001  # logged under an error id
                failed = error
            error_id = None if failed is None else self._log_failure(run_id, failed)
            if run_id not in (EXECUTION.get() or {}):
                await self._fault_unclaimed(run_id, failed)
            if error_id is not None:
                raise LocalRunFailed(f"see the worker's log (error {error_id})") from None

        return guarded

    def _log_failure(self, run_id: str, error: Exception) -> str:
        error_id = str(new_id())
        message = "run %s raised outside of its hold (error %s)"
        _log.error(message, run_id, error_id, exc_info=error)
        return error_id

    async def _fault_unclaimed(self, run_id: str, failed: Exception | None) -> None:
        """Fault the run of a function that ended without claiming it: else it would run for ever.

        Raises:
            LocalRunFailed: The run faulted.
            Abort: It has ended, or another worker has it.
        """
        if failed is None:
            title = "The local flow did not carry out its run"
            detail = "Its function ended, but did nothing in `async with local_run(run_id)`."
        else:
            title = "The local flow raised an exception"
            detail = f"Before it claimed its run: {type(failed).__name__}: {failed}"
        try:
            async with local_run(run_id, client=self._client):
                raise Fault("runtime", status=500, title=title, detail=detail)
        except RunNotOurs:
            raise Abort("the run is not this worker's") from None


def _without_data(loaded: Flow[..., Any]) -> Flow[..., Any]:
    return loaded.with_options(
        validate_parameters=False,
        persist_result=False,
        log_prints=False,
        retries=0,
        timeout_seconds=None,
    )
