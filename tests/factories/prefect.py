"""Real parts for the tests of the Prefect engine: its server, our API, the workers, a service."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from coe.embedded_postgres import EmbeddedPostgres
from coe.engines.prefect_http import PrefectHTTP
from coe.engines.prefect_server import PrefectServer, wait_until_healthy
from coe.tls import client_context
from coe.work import Platform
from tests.factories.certificates import Authority
from tests.factories.machines import enrolment_code
from tests.factories.ports import free_port
from tests.factories.tokens import bearer_of

ROOT = Path(__file__).resolve().parents[2]
KEPT = ("PATH", "HOME", "LANG", "PYTHONPATH", "TMPDIR", "TZ")
END_SECONDS = 15.0


def inherited() -> dict[str, str]:
    """What a process of a test gets from ours."""
    return {name: os.environ[name] for name in KEPT if name in os.environ}


@dataclass
class Process:
    """One process of a test: started, ended by its own id, maybe killed and started again."""

    name: str
    command: list[str]
    environment: dict[str, str]
    folder: Path
    _process: asyncio.subprocess.Process | None = None

    @property
    def log(self) -> str:
        """What it has written so far."""
        return (self.folder / f"{self.name}.log").read_text(errors="replace")

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        with (self.folder / f"{self.name}.log").open("ab") as sink:
            self._process = await asyncio.create_subprocess_exec(
                *self.command,
                env=self.environment,
                cwd=self.folder,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                start_new_session=True,
            )

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int | None:
        """Send the signal, and wait; what does not end in time is killed."""
        process = self._process
        if process is None:
            return None
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            try:
                await asyncio.wait_for(process.wait(), END_SECONDS)
            except TimeoutError:
                os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        return process.returncode

    async def kill(self) -> None:
        """End it as a power cut would."""
        await self.end(signal.SIGKILL)


def server_of(postgres: EmbeddedPostgres, folder: Path, database: str = "prefect") -> PrefectServer:
    """A Prefect server over a database of this PostgreSQL, on a free port."""
    return PrefectServer(
        home=folder / "server",
        database_url=postgres.url(database),
        auth="tests:" + "s3cret" * 4,
        port=free_port(),
    )


def server_process(server: PrefectServer, folder: Path) -> Process:
    """The process of a Prefect server."""
    return Process("prefect", server.command(), inherited() | server.environment(), folder)


@dataclass
class House:
    """One installation in a test: our API, the central worker and teams' workers, as processes.

    Attributes:
        platform: Over the same database, for verbs of the test.
        server: The Prefect server that they use.
        folder: For logs, keys and homes.
        pool: The central pool.
        resolve: As `COE_RESOLVE`.
        limit: How many flow runs a worker carries at once.
        more: Further settings of the API and the central worker.
        authority: Issued the certificate of the API, if it serves TLS.
    """

    platform: Platform
    server: PrefectServer
    folder: Path
    pool: str
    resolve: str = "{}"
    limit: int = 50
    port: int = field(default_factory=free_port)
    more: dict[str, str] = field(default_factory=dict)
    authority: Authority | None = None
    processes: list[Process] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"{'https' if self.authority else 'http'}://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        settings = self.platform.settings
        return inherited() | {
            "PYTHONUNBUFFERED": "1",
            "COE_DATABASE_URL": settings.database_url,
            "COE_DATA_DIR": str(settings.data_dir),
            "COE_CONTENT_DIR": str(ROOT),
            "COE_PORT": str(self.port),
            "COE_PREFECT_URL": self.server.api_url,
            "COE_PREFECT_AUTH": self.server.auth,
            "COE_CENTRAL_POOL": self.pool,
            "COE_LEASE_SECONDS": "3",
            "COE_HEARTBEAT_SECONDS": "0.5",
            "COE_LINGER_SECONDS": "0.2",
            "COE_DRAIN_SECONDS": "1",
            "COE_RESOLVE": self.resolve,
            "COE_WORKER_LIMIT": str(self.limit),
            **self.more,
        }

    def over_tls(self) -> None:
        """Let the API serve TLS, with a certificate of an authority of this test."""
        self.authority = Authority(self.folder)
        pair = self.authority.issue("127.0.0.1")
        self.more |= {"COE_TLS_CERT_FILE": str(pair.cert), "COE_TLS_KEY_FILE": str(pair.key)}

    async def api(self) -> Process:
        """Start the API, and wait until it answers."""
        process = await self._start("api", ["demo-api"], self.environment)
        trusted = client_context(self.authority and self.authority.file)
        async with httpx.AsyncClient(trust_env=False, timeout=2, verify=trusted) as client:
            await until(lambda: answers(client, f"{self.url}/healthz"), seconds=40)
        return process

    async def central(self) -> Process:
        """Start the central worker."""
        return await self._start("central", ["worker", "central"], self.environment)

    async def team(self, team: str, flows: Path, **more: str) -> Process:
        """Start a team's worker, which gets the API's address and a code to enrol with alone."""
        environment = inherited() | {
            "PYTHONUNBUFFERED": "1",
            "COE_URL": self.url,
            "COE_WORKER_CODE": await enrolment_code(self.platform, team),
            "COE_DATA_DIR": str(self.folder / team),
            "COE_FLOWS_DIR": str(flows),
            "COE_DRAIN_SECONDS": "1",
            **({"COE_CA_FILE": str(self.authority.file)} if self.authority else {}),
            **more,
        }
        return await self._start(f"worker-{team}", ["worker", "team", team], environment)

    async def token(self, team: str) -> str:
        """A token of the team's worker."""
        return await issue(self.platform, f"service:worker/{team}")

    async def end(self) -> None:
        for process in reversed(self.processes):
            await process.end()

    async def _start(self, name: str, arguments: list[str], environment: dict[str, str]) -> Process:
        command = [sys.executable, "-m", "coe.cli.main", *arguments]
        process = Process(name, command, environment, self.folder)
        await process.start()
        self.processes.append(process)
        return process


async def issue(platform: Platform, subject: str) -> str:
    """A token for a subject, with every scope; for a team's worker the access token of a key."""
    return await bearer_of(platform, subject)


@asynccontextmanager
async def http_to(server: PrefectServer) -> AsyncIterator[PrefectHTTP]:
    """A client of the server with its own auth string."""
    http = PrefectHTTP(server.api_url, server.auth)
    try:
        yield http
    finally:
        await http.close()


async def remove_pools(server: PrefectServer) -> None:
    """Leave no pool, and with it no scheduled run, to the next test."""
    async with http_to(server) as http:
        for pool in await http.post("/work_pools/filter", {}):
            await http.call("DELETE", f"/work_pools/{pool['name']}")


async def answers(client: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await client.get(url)).is_success
    except httpx.HTTPError:
        return False


async def until(asked: Callable[[], Awaitable[bool]], *, seconds: float = 20) -> None:
    """Wait until the answer is yes."""
    async with asyncio.timeout(seconds):
        while not await asked():
            await asyncio.sleep(0.1)


__all__ = ["House", "Process", "server_of", "wait_until_healthy"]
