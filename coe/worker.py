"""The processes of workers: the one for central runs, and those of the teams.

Both run Prefect flows inside themselves, in an event loop of a second thread: around every flow
Prefect installs a SIGTERM handler that raises in the main thread, which here only waits for the
signal.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx

from coe import logs
from coe.confined.pool import InThisProcess
from coe.engines.prefect_engine import PrefectEngine, team_pool
from coe.engines.prefect_server import worker_environment
from coe.errors import CoeError, Unauthenticated
from coe.execution.loops import Loops
from coe.execution.open_runtime import open_runtime
from coe.identity.forwarder import Forwarded, forwarding
from coe.identity.worker_identity import (
    AccessTokens,
    WorkerIdentity,
    client_of,
    enrol,
    identity_file,
    is_begun,
    is_due,
    read_identity,
    renew,
)
from coe.installation.keys import require_keys
from coe.installation.measures import measuring
from coe.installation.status import Check, Health
from coe.processes.ending import on_first_signal
from coe.processes.probes import Probes
from coe.processes.readiness import database_checks, keys_check
from coe.processes.starting import database_is_ours, until_it_is
from coe.settings import Settings
from coe.work import Platform

RENEWAL_SECONDS: Final = 3600.0
"""Between two looks at the age of a worker's key."""

RENEWAL_PAUSES: Final = (1.0, 2.0, 5.0, 15.0, 30.0)
"""Before a begun renewal is tried again, in seconds; the last one repeats.

Its answer was lost, so the platform may know the next key only: the worker can do nothing until
then.
"""

Serve = Callable[[asyncio.Event], Awaitable[None]]

_log = logging.getLogger("coe.worker")


async def run_central_worker(settings: Settings) -> None:
    """Run central runs until SIGTERM or Ctrl-C; also dispatch, timers and reaper (`COE_LOOPS`).

    Raises:
        ValueError: `COE_PREFECT_URL` is not set.
        KeysRefused: Keys are missing, or those of another installation.
    """
    _warn(settings, "database_url", "database_direct_url", "prefect_url")
    if settings.prefect_url is not None:
        await require_keys(settings)
    await _until_signal(lambda stop: _serve_central(settings, stop))


async def run_team_worker(settings: Settings, team: str) -> None:
    """Run a team's local runs until SIGTERM or Ctrl-C, with the key of this worker alone.

    What runs in the process reaches the platform through a forwarder, which adds the access token
    of the moment. The forwarder is in the loop of the main thread, so that no flow holds it up.

    Raises:
        Unauthenticated: The worker has not enrolled, or the platform refuses `COE_WORKER_CODE`.
        Unavailable: The platform cannot be reached to enrol.
    """
    _warn(settings, "url")
    async with client_of(settings.url, settings.ca_file) as http:
        identity = await _identity(settings, team, http)
        tokens = AccessTokens(identity, http, identity_file(settings.data_dir, team))
        if is_begun(settings.data_dir, team):
            await _renew_if_due(settings, team, http, tokens)
        renewing = asyncio.create_task(_keep_renewed(settings, team, http, tokens))
        try:
            async with forwarding(http, tokens, settings.ca_file) as forwarded:
                await _until_signal(lambda stop: _serve_team(settings, team, forwarded, stop))
        finally:
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)


def _warn(settings: Settings, *names: str) -> None:
    """Say which of these settings lead where nobody proves who they are."""
    logs.configure(settings.log_level)
    for note in settings.unprotected(*names):
        _log.warning("%s", note)


async def _identity(settings: Settings, team: str, http: httpx.AsyncClient) -> WorkerIdentity:
    """The identity of this worker; it enrols first where it has none, but a code."""
    file = identity_file(settings.data_dir, team)
    found = read_identity(file)
    if found is not None and found.credential is not None:
        return found
    if settings.worker_code is None:
        raise Unauthenticated(
            f"there is no key in {file}: enrol this worker with `coe worker enrol {team} --code "
            "CODE`, or start it with COE_WORKER_CODE; a lead of the team makes the code"
        )
    code = settings.worker_code.get_secret_value()
    return await enrol(http, settings.data_dir, team, code=code, name=socket.gethostname())


async def _keep_renewed(
    settings: Settings, team: str, http: httpx.AsyncClient, tokens: AccessTokens
) -> None:
    """Renew the key of this worker when it is old; try again soon where that was begun."""
    failures = 0
    while True:
        await _renew_if_due(settings, team, http, tokens)
        if is_begun(settings.data_dir, team):
            pause = RENEWAL_PAUSES[min(failures, len(RENEWAL_PAUSES) - 1)]
            failures += 1
        else:
            pause, failures = RENEWAL_SECONDS, 0
        await asyncio.sleep(pause)


async def _renew_if_due(
    settings: Settings, team: str, http: httpx.AsyncClient, tokens: AccessTokens
) -> None:
    """Renew the key of this worker if it is old or that was begun; log why it was not renewed."""
    try:
        if is_due(settings.data_dir, team, settings.worker_key_days):
            tokens.use(await renew(http, settings.data_dir, team))
            _log.info("the key of this worker was renewed")
    except (CoeError, OSError) as error:
        why = error.message if isinstance(error, CoeError) else type(error).__name__
        _log.warning("the key of this worker was not renewed: %s", why)


@dataclass(slots=True)
class _Worker:
    """How a worker is: for its probes.

    Attributes:
        role: What it is.
        pool: The work pool from which it takes runs.
        platform: The parts of the central worker; a team's has none.
        connected: Set while it is connected to its pool.
        probes: Its probes; it has started once its database has nothing of other keys.
    """

    role: str
    pool: str
    platform: Platform | None = None
    connected: asyncio.Event = field(default_factory=asyncio.Event)
    probes: Probes = field(init=False)

    def __post_init__(self) -> None:
        """Make the probes."""
        self.probes = Probes(self.role, self.look)

    @asynccontextmanager
    async def draining_once(
        self, stop: asyncio.Event, *then: Callable[[], None]
    ) -> AsyncIterator[None]:
        """Be ready no more once `stop` is set, and call these functions, within the context."""

        async def drain() -> None:
            await stop.wait()
            self.probes.draining = True
            for each in then:
                each()

        task = asyncio.create_task(drain(), name="drain")
        try:
            yield
        finally:
            task.cancel()

    async def look(self) -> list[Check]:
        """How its parts are."""
        found = []
        if self.platform is not None:
            found = [
                keys_check(compared=self.probes.started),
                *await database_checks(self.platform),
            ]
        if self.connected.is_set():
            return [*found, Check("engine", Health.OK, f"takes runs of the pool {self.pool}")]
        detail = f"is not connected to the pool {self.pool}; see the log records of the worker"
        mends = (
            "coe status" if self.platform else "is COE_URL right, and the key of the worker good?"
        )
        return [*found, Check("engine", Health.PROBLEM, detail, mends)]


async def _serve_central(settings: Settings, stop: asyncio.Event) -> None:
    engine = PrefectEngine.open(settings)
    platform = Platform.open(settings, name="coe-central", pool_size=20, computing=InThisProcess())
    worker = _Worker("central worker", settings.central_pool, platform)
    try:
        async with worker.probes.serving(settings):
            if await until_it_is(lambda: database_is_ours(platform), "the database", stop):
                worker.probes.started = True
                await _serve_runs(platform, engine, worker, stop)
    finally:
        await engine.close()
        await platform.close()
        _log.info("the central worker has stopped")


async def _serve_runs(
    platform: Platform, engine: PrefectEngine, worker: _Worker, stop: asyncio.Event
) -> None:
    settings = platform.settings
    auth = settings.prefect_auth.get_secret_value() if settings.prefect_auth else ""
    home = settings.data_dir / "prefect" / "worker-central"
    os.environ |= worker_environment(
        api_url=settings.prefect_url or "", auth=auth, home=home, ca_file=settings.ca_file
    )
    from coe.engines.central_flow import central_flow  # noqa: PLC0415  # it reads the environment
    from coe.engines.prefect_flow_executor import FlowExecutor  # noqa: PLC0415  # the same
    from coe.engines.prefect_worker import serve_pool  # noqa: PLC0415  # the same

    _configure_logs(settings)
    async with (
        open_runtime(platform) as runtime,
        _loops(platform, engine),
        measuring(platform),
        worker.draining_once(stop, runtime.drain),
    ):
        if await until_it_is(engine.ensure_central, "Prefect", stop):
            await serve_pool(
                FlowExecutor(central_flow(runtime)),
                pool=settings.central_pool,
                name=f"central-{socket.gethostname()}-{os.getpid()}",
                limit=settings.worker_limit,
                stop=stop,
                drain_seconds=settings.drain_seconds,
                connected=worker.connected,
            )


async def _serve_team(
    settings: Settings, team: str, forwarded: Forwarded, stop: asyncio.Event
) -> None:
    os.environ |= {"COE_URL": forwarded.url, "COE_TOKEN": forwarded.secret} | worker_environment(
        api_url=f"{forwarded.url}/gateway/{team}/api",
        auth=f"{team}:{forwarded.secret}",
        home=settings.data_dir / "prefect" / f"worker-{team}",
    )
    os.environ |= {name: _no_proxy(os.environ.get(name)) for name in ("NO_PROXY", "no_proxy")}
    for name in ("COE_TOKEN_FILE", "COE_WORKER_CODE", "COE_WORKER_CODE_FILE"):
        os.environ.pop(name, None)
    from coe.engines.prefect_flow_executor import FlowExecutor  # noqa: PLC0415  # it reads the environment
    from coe.engines.prefect_worker import serve_pool  # noqa: PLC0415  # the same
    from coe.engines.team_flows import TeamFlows  # noqa: PLC0415  # the same

    _configure_logs(settings)
    flows = TeamFlows(settings.flows_dir or Path())
    worker = _Worker("team worker", team_pool(team))
    worker.probes.started = True
    async with worker.probes.serving(settings), worker.draining_once(stop):
        await serve_pool(
            FlowExecutor(flows.load),
            pool=worker.pool,
            name=f"{team}-{socket.gethostname()}-{os.getpid()}",
            limit=settings.worker_limit,
            stop=stop,
            drain_seconds=settings.drain_seconds,
            connected=worker.connected,
        )
    _log.info("the worker of %s has stopped", team)


def _no_proxy(before: str | None) -> str:
    """The hosts that are reached without a proxy, and this machine."""
    return ",".join(filter(None, (before, "127.0.0.1")))


@asynccontextmanager
async def _loops(platform: Platform, engine: PrefectEngine) -> AsyncIterator[None]:
    """Dispatch, timers and reaper, unless the settings leave them to other processes."""
    if not platform.settings.loops:
        yield
        return
    loops = Loops(platform, engine)
    await loops.start()
    try:
        yield
    finally:
        await loops.close()


def _configure_logs(settings: Settings) -> None:
    """Our format for every record; Prefect's handlers would print the messages of exceptions."""
    logging.getLogger().handlers.clear()
    logs.configure(settings.log_level)


async def _until_signal(serve: Serve) -> None:
    """Run `serve` in a second thread's event loop; set its event at SIGTERM or SIGINT."""
    main = asyncio.get_running_loop()
    started: asyncio.Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = main.create_future()

    async def inside() -> None:
        stop = asyncio.Event()
        main.call_soon_threadsafe(started.set_result, (asyncio.get_running_loop(), stop))
        await serve(stop)

    in_thread = asyncio.ensure_future(asyncio.to_thread(asyncio.run, inside()))
    loop, stop = await started
    with on_first_signal(lambda: loop.call_soon_threadsafe(stop.set)):
        await in_thread
