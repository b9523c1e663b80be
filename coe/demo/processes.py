"""The demo's processes: started apart from the terminal, watched, ended by process id."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil

QUICK: Final = 10.0
"""A process that ends sooner than this after its start (seconds) is started again later."""
LONGEST_PAUSE: Final = 15.0
GRACE: Final = 10.0


@dataclass(frozen=True, slots=True)
class Service:
    """One process of the demo: what to run, with which environment, and no other."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    cwd: Path


@dataclass(slots=True)
class Processes:
    """Starts services, starts them again when they die, and ends them in reverse order.

    Args:
        logs: The folder for one log a service.
        ledger: The file that holds what runs, so that a later start can end what was left.
    """

    logs: Path
    ledger: Path
    _running: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)
    _watchers: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    async def start(self, service: Service) -> None:
        """Start the service and keep it running until `stop`."""
        await self._spawn(service)
        self._watchers[service.name] = asyncio.create_task(self._watch(service))

    def pids(self) -> dict[str, int]:
        """The process id of each service that runs now."""
        alive = self._running.items()
        return {name: process.pid for name, process in alive if process.returncode is None}

    async def stop(self) -> None:
        """End every service, the last one first; one that does not end in time is killed."""
        for name in reversed(list(self._watchers)):
            watcher = self._watchers.pop(name)
            watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watcher
            process = self._running.pop(name)
            if process.returncode is None:
                _signal_group(process.pid, signal.SIGTERM)
                try:
                    await asyncio.wait_for(process.wait(), GRACE)
                except TimeoutError:
                    _signal_group(process.pid, signal.SIGKILL)
                    await process.wait()
        self._write()

    async def _spawn(self, service: Service) -> None:
        log = self.logs / f"{service.name}.log"
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "ab") as sink:
            self._running[service.name] = await asyncio.create_subprocess_exec(
                *service.command,
                env=dict(service.environment),
                cwd=service.cwd,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                start_new_session=True,
            )
        self._write()

    async def _watch(self, service: Service) -> None:
        pause = 0.5
        while True:
            began = time.monotonic()
            await self._running[service.name].wait()
            pause = 0.5 if time.monotonic() - began > QUICK else min(LONGEST_PAUSE, pause * 2)
            await asyncio.sleep(pause)
            await self._spawn(service)

    def _write(self) -> None:
        told = {name: [pid, _started(pid)] for name, pid in self.pids().items()}
        draft = self.ledger.with_suffix(".tmp")
        draft.write_text(json.dumps(told, indent=2))
        draft.replace(self.ledger)


def end_left_over(ledger: Path) -> list[str]:
    """End what an earlier demo that died left running; give the names of what was ended.

    A process counts only if it has the recorded id and the recorded time of start.
    """
    if not ledger.exists():
        return []
    left: dict[str, psutil.Process] = {}
    for name, (pid, started) in json.loads(ledger.read_text() or "{}").items():
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            if abs(process.create_time() - started) < 1:
                left[name] = process
    for process in left.values():
        _signal_group(process.pid, signal.SIGTERM)
    _, alive = psutil.wait_procs(list(left.values()), timeout=GRACE)
    for process in alive:
        _signal_group(process.pid, signal.SIGKILL)
    ledger.unlink()
    return list(left)


def _signal_group(pid: int, number: signal.Signals) -> None:
    """Signal the process and what it started: it leads a session of its own."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def _started(pid: int) -> float:
    try:
        return psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        return 0.0
