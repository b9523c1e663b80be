"""Run the demo: PostgreSQL, the processes, the sample company's story."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import httpx

from coe import content
from coe.bootstrap import load_all, operator_enrolment_code
from coe.demo.layout import (
    API_PORT,
    COMPANY_PORT,
    PREFECT_PORT,
    TEAMS,
    Layout,
    write_private,
)
from coe.demo.personas import PERSONAS, persona_token
from coe.demo.ports import reserve_port
from coe.demo.processes import Processes, end_left_over
from coe.demo.telling import Telling, number_of_telling
from coe.embedded_postgres import EmbeddedPostgres
from coe.engines.prefect_server import kept_secret, make_auth_string
from coe.errors import Conflict, Unavailable
from coe.identity.worker_identity import identity_file
from coe.installation.keys import make_keys
from coe.migrations.run import upgrade
from coe.settings import Settings, read_settings
from coe.settings.sources import given_secret
from coe.tls import client_context, verified_database_url

API_PATIENCE: Final = 60.0
POSTGRES_CHECK_SECONDS: Final = 0.2
DATABASES: Final = ("coe", "prefect", "acme")
NEXT = """
CoE is up at {url}

  Personas, each with a bearer token that is accepted on this machine only:
{personas}

  Three things to try next
  1. Open {url}/graphiql, choose a persona and run the example queries.
  2. COE_URL={url} COE_TOKEN=demo-sales-owner .venv/bin/coe catalog search order
  3. COE_URL={url} COE_TOKEN=demo-auditor .venv/bin/coe audit export --to audit-bundle
     .venv/bin/coe audit key --config {settings} > log.vkey
     .venv/bin/coe audit verify audit-bundle --key @log.vkey

  Prefect's own pages: {prefect} (user and password are in {settings})
  Ctrl-C stops everything; `make demo` again resumes with the data; `make clean` erases it;
  `.venv/bin/coe demo --reset-story` tells the story again, also while this one runs.
"""


@dataclass(slots=True)
class Demo:
    """A demo on a data folder.

    Args:
        data: The absolute path of the folder.
        content: The folder of catalog, templates, flows and policies; None for those shipped.
        story: Whether to seed the sample company and run its story.
        once: Whether to stop after the story, instead of waiting for Ctrl-C.
        again: Whether to tell the story once more, on the data that are there.
        echo: Prints a line for people.
    """

    data: Path
    content: Path | None
    story: bool
    once: bool
    again: bool
    echo: Callable[[str], object]

    async def run(self) -> int:
        """Run until Ctrl-C or SIGTERM (or the end of the story with `once`).

        With `again`, where a demo runs on the folder already, only tell the story to that.

        Returns:
            The exit code: 0, or 1 if the story failed.
        """
        began = time.monotonic()
        self.data.mkdir(parents=True, exist_ok=True)
        (self.data / "logs").mkdir(exist_ok=True, mode=0o700)
        stop = _on_signals()
        if self.again and _runs_already(self.data):
            settings = read_settings(self.data / "demo.env")
            number = number_of_telling(self.data, again=True)
            return await Telling(self.data, settings, number, self.echo).run(stop, began)
        with _lock(self.data):
            number = number_of_telling(self.data, again=self.again) if self.story else 1
            for name in end_left_over(self.data / "processes.json"):
                self.echo(f"ended {name}, left running by an earlier demo")
            async with self._databases() as urls, self._processes() as processes:
                return await self._serve(urls, processes, stop, began, number)

    async def _serve(
        self,
        urls: dict[str, str],
        processes: Processes,
        stop: asyncio.Event,
        began: float,
        number: int,
    ) -> int:
        layout = self._layout(urls)
        layout.write_settings()
        settings = read_settings(layout.settings_file)
        await make_keys(settings)
        await asyncio.to_thread(upgrade, layout.database_url)
        self.echo("database: migrated")
        for service in layout.services():
            await processes.start(service)
        for line in await load_all(settings):
            self.echo(line)
        await _until_answers(f"{layout.url}/healthz", API_PATIENCE, stop)
        self._write_state(layout)
        self.echo(f"API: answers at {layout.url} after {time.monotonic() - began:.0f} s")
        await self._start_team_workers(layout, settings, processes)
        code = 0
        if self.story and not stop.is_set():
            telling = Telling(self.data, settings, number, self.echo)
            code = await telling.run(stop, began)
        if not self.once and not stop.is_set():
            self._print_next_steps(layout)
            await stop.wait()
        self.echo("stopping …")
        return code

    def _layout(self, urls: dict[str, str]) -> Layout:
        auth = kept_secret(self.data / "prefect" / "auth", make_auth_string)
        return Layout(
            data=self.data,
            content=content.root(self.content),
            api_port=reserve_port(range(API_PORT, API_PORT + 80)),
            prefect_port=reserve_port(range(PREFECT_PORT, PREFECT_PORT + 80)),
            company_port=reserve_port(range(COMPANY_PORT, COMPANY_PORT + 80)),
            database_url=urls["coe"],
            prefect_database_url=urls["prefect"],
            company_database_url=urls["acme"],
            prefect_auth=auth,
        )

    @asynccontextmanager
    async def _databases(self) -> AsyncIterator[dict[str, str]]:
        """The three databases, on the server of COE_DATABASE_URL or on the embedded one."""
        given = given_secret("COE_DATABASE_URL")
        if given:
            yield await _databases_of(given)
            return
        server = EmbeddedPostgres(self.data / "postgres")
        await asyncio.to_thread(server.start)
        self.echo("PostgreSQL: up")
        try:
            await server.prepare({name: name for name in DATABASES})
            keeping = asyncio.create_task(self._keep_up(server))
            try:
                yield {name: server.url(name, user=name) for name in DATABASES}
            finally:
                keeping.cancel()
                await asyncio.gather(keeping, return_exceptions=True)
        finally:
            await asyncio.to_thread(server.stop)

    async def _keep_up(self, server: EmbeddedPostgres) -> None:
        """Restart PostgreSQL when it dies, until cancelled."""
        while True:
            await asyncio.sleep(POSTGRES_CHECK_SECONDS)
            if server.died():
                self.echo("PostgreSQL died; restarting it")
                try:
                    await asyncio.to_thread(server.start)
                except RuntimeError as error:
                    self.echo(str(error))

    @asynccontextmanager
    async def _processes(self) -> AsyncIterator[Processes]:
        processes = Processes(logs=self.data / "logs", ledger=self.data / "processes.json")
        try:
            yield processes
        finally:
            await processes.stop()
            (self.data / "demo.json").unlink(missing_ok=True)

    async def _start_team_workers(
        self,
        layout: Layout,
        settings: Settings,
        processes: Processes,
    ) -> None:
        for team in TEAMS:
            enrolled = identity_file(layout.worker_data(team), team).exists()
            code = None if enrolled else await operator_enrolment_code(settings, team)
            await processes.start(layout.team_worker(team, code))

    def _write_state(self, layout: Layout) -> None:
        state = {
            "url": layout.url,
            "prefectUrl": layout.prefect.url,
            "databaseUrl": layout.database_url,
            "personas": {persona: persona_token(persona) for persona in PERSONAS},
            "companyUrl": layout.company_url,
        }
        write_private(self.data / "demo.json", json.dumps(state, indent=2) + "\n")

    def _print_next_steps(self, layout: Layout) -> None:
        personas = "\n".join(
            f"    {persona_token(each):<25} {name}" for each, name in PERSONAS.items()
        )
        self.echo(
            NEXT.format(
                url=layout.url,
                personas=personas,
                prefect=layout.prefect.url,
                settings=layout.settings_file,
            ),
        )


def stop_demo(data: Path) -> str:
    """Stop the demo of this folder, or the processes that it left running; returns a report."""
    try:
        pid = int((data / "demo.pid").read_text())
        os.kill(pid, signal.SIGTERM)
    except (FileNotFoundError, ValueError, ProcessLookupError):
        ended = end_left_over(data / "processes.json")
        EmbeddedPostgres(data / "postgres").stop()
        return f"no demo runs here; ended left-over processes: {', '.join(ended) or 'nothing'}"
    for _ in range(600):
        if not _alive(pid):
            return "stopped"
        time.sleep(0.1)
    raise Unavailable(f"the demo (process {pid}) does not stop; see {data / 'logs'}")


def _runs_already(data: Path) -> bool:
    """Whether a demo runs on this folder and answers."""
    try:
        return (data / "demo.json").exists() and _alive(int((data / "demo.pid").read_text()))
    except (FileNotFoundError, ValueError):
        return False


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@contextlib.contextmanager
def _lock(data: Path) -> Iterator[None]:
    descriptor = os.open(data / "demo.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise Conflict(f"a demo already runs on {data}; stop it with: coe demo --stop") from None
    (data / "demo.pid").write_text(str(os.getpid()))
    try:
        yield
    finally:
        (data / "demo.pid").unlink(missing_ok=True)
        os.close(descriptor)


def _on_signals() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    return stop


async def _databases_of(given: str) -> dict[str, str]:
    """The given database, and two more on the same server for Prefect and the company."""
    parts = urlsplit(given)
    name = parts.path.lstrip("/")
    urls = {"coe": given}
    connection = await asyncpg.connect(verified_database_url(given))
    try:
        for part in DATABASES[1:]:
            own = f"{name}_{part}"
            exists = "SELECT 1 FROM pg_database WHERE datname = $1"
            if not await connection.fetchval(exists, own):
                await connection.execute(f'CREATE DATABASE "{own}"')
            urls[part] = urlunsplit(parts._replace(path=f"/{own}"))
    finally:
        await connection.close()
    return urls


async def _until_answers(url: str, patience: float, stop: asyncio.Event) -> None:
    deadline = time.monotonic() + patience
    async with httpx.AsyncClient(trust_env=False, timeout=2, verify=client_context()) as client:
        while not stop.is_set():
            with contextlib.suppress(httpx.HTTPError):
                if (await client.get(url)).is_success:
                    return
            if time.monotonic() > deadline:
                raise Unavailable(f"{url} did not answer within {patience:.0f} s")
            await asyncio.sleep(0.1)
