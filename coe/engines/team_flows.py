"""A team's flows: loaded from the team's folder by entrypoint; Prefect learns no data of theirs.

The folder belongs to the worker's machine, and its files are what runs. A changed file is loaded
again.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
from pathlib import Path
from typing import Any

from prefect import Flow
from prefect.exceptions import Abort
from prefect.flows import load_flow_from_entrypoint

from coe.db import new_id
from coe.errors import CoeError, NotFound
from coe.sdk import LocalRunFailed, RunNotOurs

_log = logging.getLogger(__name__)


class FlowBroken(CoeError):
    """The flow's file cannot be loaded as an async Prefect flow with one parameter, `run_id`."""


class TeamFlows:
    """The flows below one folder, each loaded when first needed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._loaded: dict[str, tuple[tuple[int, int], Flow[..., Any]]] = {}
        self._lock = asyncio.Lock()

    async def load(self, entrypoint: str) -> Flow[..., Any]:
        """The flow of `path/below/the/folder.py:function`.

        Raises:
            NotFound: There is no such file in the folder.
            FlowBroken: It is not an async flow with the one parameter `run_id`.
        """
        name, _, function = entrypoint.rpartition(":")
        path = (self._folder / name).resolve()
        if not path.is_relative_to(self._folder) or not path.is_file():
            raise NotFound(f"there is no flow {entrypoint} in the folder of this worker")
        status = path.stat()
        stamp = (status.st_mtime_ns, status.st_size)
        async with self._lock:
            found = self._loaded.get(entrypoint)
            if found is None or found[0] != stamp:
                flow = await asyncio.to_thread(_load, path, function)
                found = self._loaded[entrypoint] = (stamp, quiet(flow))
        return found[1]


def _load(path: Path, function: str) -> Flow[..., Any]:
    try:
        flow: Flow[..., Any] = load_flow_from_entrypoint(
            f"{path}:{function}",
            use_placeholder_flow=False,
        )
    except Exception as error:
        raise FlowBroken(f"{path.name} cannot be loaded: {type(error).__name__}") from error
    if not flow.isasync or list(inspect.signature(flow.fn).parameters) != ["run_id"]:
        message = f"{function} in {path.name} is not an async flow with the one parameter `run_id`"
        raise FlowBroken(message)
    return flow


def quiet(flow: Flow[..., Any]) -> Flow[..., Any]:
    """The same flow; Prefect gets no result of it, and of an exception only an id."""
    call = flow.fn

    @functools.wraps(call)
    async def guarded(run_id: str) -> None:
        try:
            await call(run_id)
        except RunNotOurs:
            raise Abort("the run is not this worker's") from None
        except LocalRunFailed:
            raise
        except Exception:  # noqa: BLE001  # logged under an error id
            error_id = new_id()
            _log.exception("run %s raised outside of its hold (error %s)", run_id, error_id)
            raise LocalRunFailed(f"see the worker's log (error {error_id})") from None

    copy = flow.with_options(
        validate_parameters=False,
        persist_result=False,
        log_prints=False,
        retries=0,
        timeout_seconds=None,
    )
    copy.fn = guarded
    return copy
