"""The probes of a process, on a port of their own: has it started, is it alive, is it ready?

They are served from a thread with an event loop of its own, so that `/livez` answers, and tells,
when the process's own loop is stuck. Liveness asks nobody else: a process that is started anew
because the database is away helps nobody. `/readyz` is computed in the process's loop.

A kubelet asks by the address of the pod, so any `Host` is answered here, and nothing is said that
is not for everybody on the network of the port.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from coe import __version__
from coe.errors import CoeError
from coe.installation.status import Check, Health
from coe.processes.pulse import STUCK_SECONDS, Pulse
from coe.settings import Settings
from coe.telemetry.exposition import PATH as METRICS
from coe.telemetry.exposition import exposition
from coe.telemetry.process import describe_process
from coe.web.http_protocol import BoundedHttp

ANSWER_SECONDS: Final = 5.0
"""How long the process may take to compute an answer."""
MOST_AT_ONCE: Final = 64
DRAINING: Final = Check(
    "process", Health.PROBLEM, "is ending: it finishes what it has and takes nothing new"
)
STARTING: Final = Check("process", Health.PROBLEM, "is starting")

Handler = Callable[[], Awaitable[Response]]
Look = Callable[[], Awaitable[Sequence[Check]]]


class ProbePortRefused(CoeError):
    """The port of the probes cannot be used."""

    code = "INVALID"
    of_operator = True


@dataclass(slots=True)
class Probes:
    """What the probes of one process answer.

    Attributes:
        role: What the process is: `api`, `gateway`, `loops`, `sealer`, `central worker` …
        look: How its parts are; a problem of one makes the process unready.
        started: Whether it has begun to do its work.
        draining: Whether it is to end: it stays alive, and is ready no more.
        pulse: Its event loops.
    """

    role: str
    look: Look
    started: bool = False
    draining: bool = False
    pulse: Pulse = field(default_factory=Pulse)
    _routes: dict[str, Handler] = field(default_factory=dict)

    def route(self, path: str, handler: Handler) -> None:
        """Answer a further path; the handler is awaited in the loop of the process."""
        self._routes[path] = handler

    async def checks(self) -> list[Check]:
        """How the process and its parts are."""
        if self.draining:
            return [DRAINING]
        return [*(() if self.started else (STARTING,)), *await self.look()]

    async def ready(self) -> Response:
        """Whether the process is ready; what is wrong, and what mends it."""
        checks = await self.checks()
        wrong = [each for each in checks if each.health is Health.PROBLEM]
        body = {
            "status": "not ready" if wrong else "ready",
            "role": self.role,
            "problems": [
                {
                    "part": each.part,
                    "detail": each.detail,
                    "help": each.help,
                    "page": each.page,
                }
                for each in wrong
            ],
            "parts": {
                each.part: {"state": each.health.value, "detail": each.detail, **each.data}
                for each in checks
            },
        }
        return JSONResponse(body, status_code=503 if wrong else 200)

    def start(self) -> Response:
        """Whether the process has started."""
        if not self.started:
            return _answer("starting", self.role, status_code=503)
        return _answer("started", self.role)

    def alive(self) -> Response:
        """Whether the process's event loops run."""
        stuck = self.pulse.stuck()
        if stuck is None:
            return _answer("alive", self.role)
        detail = f"the event loop {stuck!r} has not run for {STUCK_SECONDS:.0f} seconds"
        return _answer("stuck", self.role, detail, status_code=503)

    def app(self, loop: asyncio.AbstractEventLoop) -> Starlette:
        """The application of the port; what is computed is computed in this loop."""

        def here(answer: Callable[[], Response]) -> Callable[[Request], Awaitable[Response]]:
            async def respond(_: Request) -> Response:
                return answer()

            return respond

        def there(handler: Handler) -> Callable[[Request], Awaitable[Response]]:
            async def respond(_: Request) -> Response:
                return await self._from(loop, handler)

            return respond

        return Starlette(
            routes=[
                Route("/startupz", here(self.start)),
                Route("/livez", here(self.alive)),
                Route(METRICS, _metrics),
                Route("/readyz", there(self.ready)),
                *(Route(path, there(handler)) for path, handler in self._routes.items()),
            ]
        )

    async def _from(self, loop: asyncio.AbstractEventLoop, handler: Handler) -> Response:
        """What a handler answers in the loop of the process, if it does so in time."""

        async def bounded() -> Response:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await handler()

        asked = asyncio.run_coroutine_threadsafe(bounded(), loop)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await asyncio.wrap_future(asked)
        except TimeoutError:
            detail = f"there was no answer within {ANSWER_SECONDS:.0f} seconds"
            return _answer("not ready", self.role, detail, status_code=503)

    @asynccontextmanager
    async def serving(self, settings: Settings) -> AsyncIterator[None]:
        """Serve the probes within the context, if the settings name a port.

        Raises:
            ProbePortRefused: The port cannot be listened on.
        """
        describe_process(version=__version__, role=self.role, flows=settings.metrics_flows)
        async with self.pulse.beating("main"):
            if settings.probe_port is None:
                yield
                return
            server = _Server(self.app(asyncio.get_running_loop()), settings)
            server.start()
            try:
                yield
            finally:
                await asyncio.to_thread(server.stop)


async def _metrics(request: Request) -> Response:
    """The metrics of the process; the loop of the process is not asked."""
    body, content_type = exposition(request.headers.get("accept"))
    return Response(body, headers={"Content-Type": content_type})


class _Server:
    """An HTTP server in a thread of its own."""

    def __init__(self, app: Starlette, settings: Settings) -> None:
        import uvicorn  # noqa: PLC0415  # slow to import, and only where a port is named

        host, port = settings.probe_host, settings.probe_port or 0
        self._socket = _listen(host, port)
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            lifespan="off",
            ws="none",
            http=BoundedHttp,
            loop="asyncio",
            limit_concurrency=MOST_AT_ONCE,
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, name="probes", daemon=True)

    def start(self) -> None:
        """Begin to serve: the socket listens already, so nobody is refused meanwhile."""
        self._thread.start()

    def stop(self) -> None:
        """End, and wait for that."""
        self._server.should_exit = True
        self._thread.join(timeout=5)
        self._socket.close()

    def _run(self) -> None:
        self._server.run(sockets=[self._socket])


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
        made.listen()
    except OSError as error:
        made.close()
        raise ProbePortRefused(
            f"the probes cannot listen on {host}:{port} ({error.strerror}): set COE_PROBE_PORT and"
            " COE_PROBE_HOST so that each process on a machine has a port of its own"
        ) from None
    return made


def _answer(
    status: str, role: str, detail: str | None = None, *, status_code: int = 200
) -> Response:
    body = {"status": status, "role": role} | ({"detail": detail} if detail else {})
    return JSONResponse(body, status_code=status_code)
