"""The demo's processes: started in their own sessions, restarted when they die, then stopped."""

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

SHORT_LIFE: Final = 10.0
"""The pause before a restart doubles for a process that ended within these seconds."""
MAX_RESTART_PAUSE: Final = 15.0
STOP_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Service:
    """One process of the demo: its command and its whole environment."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    cwd: Path


@dataclass(slots=True)
class Processes:
    """Start services, restart them when they die, and stop them in reverse order.

    Args:
        logs: The folder with a log file for each service.
        ledger: The file that lists the running processes, for `end_left_over`.
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
        """The process id of each running service."""
        alive = self._running.items()
        return {name: process.pid for name, process in alive if process.returncode is None}

    async def stop(self) -> None:
        """Stop every service, the last one first; kill those that do not end in time."""
        for name in reversed(list(self._watchers)):
            watcher = self._watchers.pop(name)
            watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watcher
            process = self._running.pop(name)
            if process.returncode is None:
                _signal_group(process.pid, signal.SIGTERM)
                try:
                    await asyncio.wait_for(process.wait(), STOP_SECONDS)
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
            pause = (
                0.5 if time.monotonic() - began > SHORT_LIFE else min(MAX_RESTART_PAUSE, pause * 2)
            )
            await asyncio.sleep(pause)
            await self._spawn(service)

    def _write(self) -> None:
        running = {name: [pid, _started(pid)] for name, pid in self.pids().items()}
        draft = self.ledger.with_suffix(".tmp")
        draft.write_text(json.dumps(running, indent=2))
        draft.replace(self.ledger)


def end_left_over(ledger: Path) -> list[str]:
    """End the processes that an earlier demo left running, and return their names.

    A process is one of them only if both its id and its start time are the recorded ones.
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
    _, alive = psutil.wait_procs(list(left.values()), timeout=STOP_SECONDS)
    for process in alive:
        _signal_group(process.pid, signal.SIGKILL)
    ledger.unlink()
    return list(left)


def _signal_group(pid: int, number: signal.Signals) -> None:
    """Signal a process and its children: it leads its own session."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def _started(pid: int) -> float:
    try:
        return psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        return 0.0
