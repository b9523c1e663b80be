"""The processes of workers: the one for central runs, and those of the teams.

Both run Prefect flows inside themselves, in an event loop of a second thread: around every flow
Prefect installs a SIGTERM handler that raises in the main thread, which here only waits for the
signal.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from coe import logs
from coe.engines.prefect_engine import PrefectEngine, team_pool
from coe.engines.prefect_server import worker_environment
from coe.errors import CoeError, Unauthenticated, Unavailable
from coe.execution.loops import Loops
from coe.execution.open_runtime import open_runtime
from coe.settings import Settings
from coe.work import Platform

CONNECT_PAUSES: Final = (0.2, 0.5, 1.0, 2.0, 5.0)
"""Before further attempts, in seconds; the last one repeats."""

Serve = Callable[[asyncio.Event], Awaitable[None]]

_log = logging.getLogger("coe.worker")


async def run_central_worker(settings: Settings) -> None:
    """Run central runs until SIGTERM or Ctrl-C; also dispatch, timers and reaper (`COE_LOOPS`).

    Raises:
        ValueError: `COE_PREFECT_URL` is not set.
    """
    await _until_signal(lambda stop: _serve_central(settings, stop))


async def run_team_worker(settings: Settings, team: str) -> None:
    """Run a team's local runs until SIGTERM or Ctrl-C, with the team's token alone.

    Raises:
        Unauthenticated: `COE_TOKEN` is not set.
    """
    await _until_signal(lambda stop: _serve_team(settings, team, stop))


async def _serve_central(settings: Settings, stop: asyncio.Event) -> None:
    engine = PrefectEngine.open(settings)
    auth = settings.prefect_auth.get_secret_value() if settings.prefect_auth else ""
    home = settings.data_dir / "prefect" / "worker-central"
    os.environ |= worker_environment(api_url=settings.prefect_url or "", auth=auth, home=home)
    from coe.engines.central_flow import central_flow  # noqa: PLC0415  # it reads the environment
    from coe.engines.prefect_flow_executor import FlowExecutor  # noqa: PLC0415  # the same
    from coe.engines.prefect_worker import serve_pool  # noqa: PLC0415  # the same

    _configure_logs(settings)
    platform = Platform.open(settings, name="coe-central", pool_size=20)
    try:
        if not await _until(lambda: _database_answers(platform), "the database", stop):
            return
        async with open_runtime(platform) as runtime, _loops(platform, engine):
            if await _until(engine.ensure_central, "Prefect", stop):
                await serve_pool(
                    FlowExecutor(central_flow(runtime)),
                    pool=settings.central_pool,
                    name=f"central-{socket.gethostname()}-{os.getpid()}",
                    limit=settings.worker_limit,
                    stop=stop,
                )
    finally:
        await engine.close()
        await platform.close()
        _log.info("the central worker has stopped")


async def _serve_team(settings: Settings, team: str, stop: asyncio.Event) -> None:
    if settings.token is None:
        raise Unauthenticated("COE_TOKEN is not set: a worker needs the token of its team")
    url, token = settings.url.rstrip("/"), settings.token.get_secret_value()
    os.environ |= {"COE_URL": url, "COE_TOKEN": token} | worker_environment(
        api_url=f"{url}/gateway/{team}/api",
        auth=f"{team}:{token}",
        home=settings.data_dir / "prefect" / f"worker-{team}",
    )
    from coe.engines.prefect_flow_executor import FlowExecutor  # noqa: PLC0415  # it reads the environment
    from coe.engines.prefect_worker import serve_pool  # noqa: PLC0415  # the same
    from coe.engines.team_flows import TeamFlows  # noqa: PLC0415  # the same

    _configure_logs(settings)
    flows = TeamFlows(settings.flows_dir or Path())
    await serve_pool(
        FlowExecutor(flows.load),
        pool=team_pool(team),
        name=f"{team}-{socket.gethostname()}-{os.getpid()}",
        limit=settings.worker_limit,
        stop=stop,
    )
    _log.info("the worker of %s has stopped", team)


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


async def _database_answers(platform: Platform) -> None:
    try:
        async with platform.database.session() as session:
            await session.execute(text("SELECT 1"))
    except (SQLAlchemyError, OSError) as error:
        raise Unavailable(f"the database does not answer ({type(error).__name__})") from None


async def _until(attempt: Callable[[], Awaitable[None]], name: str, stop: asyncio.Event) -> bool:
    """Try until it succeeds (true) or the process is to stop (false); log once that it waits."""
    failures = 0
    while not stop.is_set():
        try:
            await attempt()
        except CoeError as error:
            if failures == 0:
                _log.warning("waiting for %s: %s", name, error.message)
            pause = CONNECT_PAUSES[min(failures, len(CONNECT_PAUSES) - 1)]
            failures += 1
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), pause)
        else:
            return True
    return False


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
    for number in (signal.SIGTERM, signal.SIGINT):
        main.add_signal_handler(number, loop.call_soon_threadsafe, stop.set)
    await in_thread
