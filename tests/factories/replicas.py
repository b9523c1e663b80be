"""Several processes of each role over one installation, behind a balancer."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.factories.balancer import Backend, Balancer
from tests.factories.ports import free_port
from tests.factories.prefect import House, inherited, until

ROLES = {
    "api": ["up"],
    "gateway": ["gateway"],
    "loops": ["loops"],
    "sealer": ["sealer"],
    "central": ["worker", "central"],
}
"""The arguments of each role."""
READY_SECONDS = 90.0


@dataclass
class Replica:
    """One process."""

    role: str
    name: str
    pid: int
    backend: Backend
    ended: asyncio.Future[int]

    async def ask(self, path: str = "/readyz") -> dict[str, Any]:
        """The answer of a probe; none while the process does not answer."""
        async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
            try:
                answer = await client.get(f"http://127.0.0.1:{self.backend.probe_port}{path}")
            except httpx.HTTPError:
                return {}
        found: dict[str, Any] = answer.json()
        return found

    async def is_ready(self) -> bool:
        assert not self.ended.done(), f"{self.name} has ended with {self.ended.result()}"
        return (await self.ask()).get("status") == "ready"

    async def seals(self) -> bool:
        """Whether it is the sealer that seals."""
        sealer = (await self.ask()).get("parts", {}).get("sealer", {})
        return bool(sealer.get("active"))

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send the signal, and give the code with which the process ends."""
        os.kill(self.pid, number)
        async with asyncio.timeout(60):
            return await asyncio.shield(self.ended)


@dataclass
class Replicas:
    """The processes of one installation."""

    house: House
    balancer: Balancer
    forking: asyncio.subprocess.Process
    all: list[Replica] = field(default_factory=list)
    _pids: asyncio.Queue[int] = field(default_factory=asyncio.Queue)
    _codes: dict[int, asyncio.Future[int]] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """That of every process, but for its ports."""
        return self.house.environment | {
            "COE_LOOPS": "false",
            "COE_GATEWAY": "false",
            "COE_DRAIN_SECONDS": "15",
            "COE_DRAIN_DELAY_SECONDS": "1",
            "COE_URL": self.balancer.url,
            "COE_ALLOWED_HOSTS": '["127.0.0.1"]',
        }

    def of(self, role: str) -> list[Replica]:
        """The processes of a role that have not ended."""
        return [each for each in self.all if each.role == role and not each.ended.done()]

    async def start(self, role: str) -> Replica:
        """Start one more of a role; it is not ready yet."""
        backend = Backend(free_port(), free_port())
        name = f"{role}-{sum(each.role == role for each in self.all) + 1}"
        own = {"COE_PORT": str(backend.port), "COE_PROBE_PORT": str(backend.probe_port)}
        asked = {
            "arguments": ROLES[role],
            "environment": self.environment | own,
            "folder": str(self.house.folder),
            "log": str(self.house.folder / f"{name}.log"),
        }
        assert self.forking.stdin is not None
        self.forking.stdin.write(json.dumps(asked).encode() + b"\n")
        pid = await self._pids.get()
        made = Replica(role, name, pid, backend, self._code_of(pid))
        self.all.append(made)
        if role in self.balancer.groups:
            self.balancer.groups[role].append(backend)
        return made

    async def ready(self, *some: Replica) -> None:
        """Wait until they are ready; all, without any."""
        for each in some or [each for each in self.all if not each.ended.done()]:
            await until(each.is_ready, seconds=READY_SECONDS)

    async def read(self) -> None:
        """Take in which processes have begun and ended."""
        assert self.forking.stdout is not None
        async for line in self.forking.stdout:
            said = json.loads(line)
            if "code" in said:
                ended = self._code_of(said["pid"])
                if not ended.done():
                    ended.set_result(said["code"])
            elif "pid" in said:
                self._pids.put_nowait(said["pid"])

    def logs(self) -> str:
        """The ends of what they have logged."""
        tails = (
            f"\n--- {each.name}\n"
            + (self.house.folder / f"{each.name}.log").read_text(errors="replace")[-1500:]
            for each in self.all
        )
        return "".join(tails)

    def _code_of(self, pid: int) -> asyncio.Future[int]:
        return self._codes.setdefault(pid, asyncio.get_running_loop().create_future())


@asynccontextmanager
async def replicas(house: House) -> AsyncIterator[Replicas]:
    """Nothing runs yet; at the end, everything that still does is killed."""
    forking = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.factories.forking"),
        env=inherited() | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    made = Replicas(house, Balancer(), forking)
    reading = asyncio.create_task(made.read())
    try:
        async with made.balancer.serving():
            yield made
    finally:
        for each in made.all:
            if not each.ended.done():
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(each.pid, signal.SIGKILL)
        assert forking.stdin is not None
        forking.stdin.close()
        await forking.wait()
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
