"""The process of the API: its application, its background loops, and their end."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from urllib.parse import urlsplit

from fastapi import FastAPI
from fastapi.responses import JSONResponse
from sqlalchemy.exc import SQLAlchemyError

from coe import logs
from coe.access.tokens import Authenticator
from coe.api.graphql.context import EngineStatus
from coe.api.http import audit_bundle, cloudevents, machines, scim, signin
from coe.api.http.endpoint import GraphQLEndpoint
from coe.api.types.engine import state_of
from coe.audit.sealer import LogSealer
from coe.audit.watch import SealingWatch
from coe.crypto.server_certificate import ServerCertificate
from coe.db import Database, DatabaseNotTrusted
from coe.engines.prefect_engine import PrefectEngine
from coe.errors import Unavailable
from coe.events.retention import delete_expired_events
from coe.execution.dispatch import engine_health, queued_messages
from coe.execution.engine import Engine, EngineHealth
from coe.execution.loops import Loops
from coe.formats import instants
from coe.gateway.router import Gateway
from coe.governance.audit_log import open_sealer
from coe.idempotency import forget_expired
from coe.identity import workers
from coe.identity.sign_in import forget_spent
from coe.identity.signin import sessions
from coe.identity.signin.sign_ins import SignIns
from coe.identity.teams.endings import DISPATCH, end_what_is_over
from coe.installation.keys import KeysRefused, compare_keys
from coe.installation.measures import measure_database, measure_process
from coe.installation.status import Check, Health, outbox_check, revision_of, schema_check
from coe.processes.probes import Probes
from coe.processes.readiness import database_checks, engine_check, keys_check, sealing_check
from coe.rate_limits import forget_empty
from coe.settings import LOOPBACK, Settings
from coe.web import unavailable
from coe.web.addresses import StorableAddresses
from coe.web.client_address import ForwardedAddress, OnlyByProxy
from coe.web.headers import SecurityHeaders
from coe.web.hosts import KnownHosts
from coe.web.measuring import MeasuredRequests
from coe.web.missing_page import answer_missing
from coe.web.pages import Persona, routes
from coe.web.waiting import OnlyOnceServing
from coe.work import Platform

ENGINE_CHECK_SECONDS = 2.0
CLEAN_UP_SECONDS = 600.0
WATCH_SECONDS = 5.0
ENDINGS_SECONDS = 20.0
CERTIFICATE_SECONDS = 5.0
RESTART_SECONDS = 1.0
DATABASES = ("database_url", "database_direct_url", "sealer_database_url")

NO_ENGINE = EngineHealth(
    "none",
    ready=False,
    detail="no engine is configured (COE_PREFECT_URL): runs wait",
)

_log = logging.getLogger("coe.app")


@dataclass(slots=True)
class Services:
    """The parts of an API process; the lifespan of its application starts and stops them.

    `serves` is whether its keys are those of the database; without that, nothing is served.
    """

    platform: Platform
    engine: Engine | None
    gateway: Gateway | None
    sealing_database: Database
    sealer: LogSealer
    sign_ins: SignIns
    watch: SealingWatch
    status: EngineStatus
    certificate: ServerCertificate | None = None
    serves: bool = True
    probes: Probes = field(init=False)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Make the probes."""
        self.probes = Probes("api", self.look)

    @classmethod
    def open(
        cls, settings: Settings, engine: Engine | None, authenticator: Authenticator | None
    ) -> Services:
        """Create the parts; nothing connects yet.

        Raises:
            CertificateRefused: The certificate or its key cannot be served.
        """
        certificate = ServerCertificate.of(settings.tls_cert_file, settings.tls_key_file)
        platform = Platform.open(settings, name="coe-api", authenticator=authenticator)
        if engine is None and settings.prefect_url is not None:
            engine = PrefectEngine.open(settings)
        name = engine.name if engine else NO_ENGINE.name
        starting = EngineHealth(name, ready=False, detail="the engine is starting; runs wait")
        sealing = Database.sealing(settings, name="coe-sealer", pool_size=2)
        return cls(
            platform=platform,
            engine=engine,
            gateway=Gateway.open(platform),
            sign_ins=SignIns.open(platform),
            sealing_database=sealing,
            sealer=open_sealer(platform, sealing),
            watch=SealingWatch(settings.seal_alarm_seconds),
            status=EngineStatus(starting if engine else NO_ENGINE, seen=False),
            certificate=certificate,
        )

    def start(self) -> None:
        """Start the loops; with `COE_LOOPS` off, only the check of the engine.

        Those that write wait until the keys are compared with the database.
        """
        self.platform.computing.warm()
        self._run("engine check", self._check_engine)
        self._run("audit watch", self._watch_sealing)
        self._run("metrics", partial(measure_process, self.platform, self.certificate))
        if self.certificate is not None:
            self._run("certificate", self._watch_certificate)
        if self.serves:
            self._start_writing()
        else:
            self._run("keys", self._compare_keys)

    def _start_writing(self) -> None:
        if self.platform.settings.loops:
            self._run("audit sealer", self.sealer.run_forever)
            self._run("runs", self._dispatch_runs)
            self._run("clean-up", self._clean_up)
            self._run("ends of memberships", self._end_memberships)
            self._run("measures", partial(measure_database, self.platform))

    async def stop(self) -> None:
        """Stop the loops, then close the engine and the database."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self.tasks.clear()
        if self.gateway is not None:
            await self.gateway.close()
        if self.engine is not None:
            await self.engine.close()
        await self.sign_ins.close()
        with suppress(SQLAlchemyError, OSError):
            await self.sealer.close()
        await self.sealing_database.close()
        await self.platform.close()

    async def database_answers(self) -> bool:
        """Whether the database answers; looks at the sealing of the audit log."""
        try:
            async with self.platform.database.session() as session:
                await self.watch.look(session)
        except (SQLAlchemyError, OSError):
            return False
        return True

    async def _watch_sealing(self) -> None:
        """Raise the alarm when the audit log is not sealed in time, also by another process."""
        while True:
            async with self.sealing_database.session() as session:
                await self.watch.look(session)
            await asyncio.sleep(WATCH_SECONDS)

    async def _compare_keys(self) -> None:
        """Serve once the database answers and has nothing of other keys; else stop the process."""
        while not self.serves:
            try:
                await compare_keys(self.platform.settings)
            except Unavailable as error:
                _log.warning("nothing is served yet: %s", error.message)
                await asyncio.sleep(RESTART_SECONDS)
            except KeysRefused as error:
                _log.critical("the API stops: %s", error.message)
                signal.raise_signal(signal.SIGTERM)
                break
            else:
                self.serves = True
                self._start_writing()
        await asyncio.Event().wait()

    async def _watch_certificate(self) -> None:
        """Serve another certificate when its files are replaced."""
        while self.certificate is not None:
            self.certificate.look()
            await asyncio.sleep(CERTIFICATE_SECONDS)

    async def checks(self) -> dict[str, object]:
        """Whether the tables are those of this version, and what waits for dispatch.

        Neither makes the API unready: while a release is rolled out the old version still serves.
        """
        async with self.platform.database.session() as session:
            revision, outbox = await revision_of(session), await outbox_check(session)
        schema = await asyncio.to_thread(schema_check, revision)
        return {
            each.part: {"state": each.health.value, "detail": each.detail, **each.data}
            for each in (schema, outbox)
        }

    async def look(self) -> list[Check]:
        """How the parts of this process are: what it cannot do without, and what it can for now."""
        found = [keys_check(compared=self.serves), *await database_checks(self.platform)]
        settings, health = self.platform.settings, self.status.health
        found.append(engine_check(health, needed=False))
        late = settings.seal_alarm_seconds
        found.append(sealing_check(self.watch.state, late, own=settings.loops))
        problem = self.certificate.problem if self.certificate else None
        if problem is not None:
            found.append(Check("tls", Health.WARNING, problem, "docs/how-to/tls.md"))
        return found

    async def policy_problem(self) -> str | None:
        """Why the policy in the database does not count, if it does not; the last good one does."""
        policies = self.platform.policies
        async with self.platform.database.session() as session:
            await policies.current(session, now=self.platform.clock())
        if policies.problem is None and not policies.in_force:
            return "The database has no policy: load it with `coe content load`."
        return policies.problem

    def _run(self, name: str, loop: Callable[[], Awaitable[None]]) -> None:
        self.tasks.append(asyncio.create_task(_keep_running(name, loop), name=name))

    async def _check_engine(self) -> None:
        """Keep the status of the engine up to date."""
        while True:
            try:
                health = await self._health()
                self.status = EngineStatus(health, seen=self.status.seen or health.ready)
            except DatabaseNotTrusted as error:
                _log.error("%s", error)
            except (SQLAlchemyError, OSError):
                _log.warning("the database did not answer")
            await asyncio.sleep(ENGINE_CHECK_SECONDS)

    async def _health(self) -> EngineHealth:
        if self.engine is not None:
            return await engine_health(self.platform, self.engine)
        return replace(NO_ENGINE, queued=await queued_messages(self.platform))

    async def _dispatch_runs(self) -> None:
        """Dispatch to the engine, fire timers, reap expired leases; nothing without an engine."""
        if self.engine is None:
            await asyncio.Event().wait()
            return
        loops = Loops(self.platform, self.engine)
        try:
            await loops.start()
            await asyncio.Event().wait()
        finally:
            await loops.close()

    async def _end_memberships(self) -> None:
        """Record the ends of memberships and grants; they count no more since then."""
        while True:
            async with self.platform.work(DISPATCH) as work:
                await end_what_is_over(work)
            await asyncio.sleep(ENDINGS_SECONDS)

    async def _clean_up(self) -> None:
        """Delete expired idempotency keys, events and sessions."""
        while True:
            async with self.platform.database.session() as session:
                await forget_expired(session, self.platform.clock())
                await forget_empty(session, self.platform.clock())
                await delete_expired_events(session, self.platform.clock())
                await sessions.forget_expired(session, self.platform.clock())
                await forget_spent(session, self.platform.clock())
                await workers.forget_expired(session, self.platform.clock())
                await session.commit()
            await asyncio.sleep(CLEAN_UP_SECONDS)


async def _keep_running(name: str, loop: Callable[[], Awaitable[None]]) -> None:
    """Run a loop until cancelled; if it fails, log that and start it again."""
    while True:
        try:
            await loop()
        except Exception:  # noqa: BLE001  # the top of a loop; logged
            _log.exception("a loop failed; it is started again", extra={"loop": name})
        await asyncio.sleep(RESTART_SECONDS)


def create_app(
    settings: Settings,
    *,
    engine: Engine | None = None,
    authenticator: Authenticator | None = None,
    personas: Sequence[Persona] = (),
    keys_compared: bool = True,
) -> FastAPI:
    """Create the application: GraphQL, pages, probes, and the loops while it is up.

    It answers before the engine is up; runs wait until then.

    Args:
        settings: The settings of the installation.
        engine: By default Prefect if `COE_PREFECT_URL` is set, else none.
        authenticator: Accepts further tokens beside those in the database (the demo's).
        personas: Who may be chosen in the explorer (the demo's).
        keys_compared: Whether the keys were compared with the database (`require_keys`). If it did
            not answer, nothing but probes is served until they are.
    """
    logs.configure(settings.log_level)
    for note in settings.unprotected(*DATABASES, "prefect_url"):
        _log.warning("%s", note)
    services = Services.open(settings, engine, authenticator)
    services.serves = keys_compared

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with services.probes.serving(settings):
            services.start()
            services.probes.started = True
            _log.info("the API is up")
            try:
                yield
            finally:
                services.probes.draining = True
                await services.stop()
                _log.info("the API has stopped")

    app = FastAPI(
        title="Process centre of excellence",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
    )
    app.state.services = services
    app.state.sign_ins = services.sign_ins
    app.include_router(GraphQLEndpoint(services.platform, lambda: services.status).router())
    app.include_router(audit_bundle.router(services.platform))
    app.include_router(cloudevents.router(services.platform))
    app.include_router(scim.router(services.platform))
    app.include_router(signin.router(services.sign_ins))
    app.include_router(machines.router(services.platform, services.sign_ins.discovery))
    app.include_router(routes(personas))
    if services.gateway is not None:
        app.include_router(services.gateway.router())
    _add_probes(app, services)
    app.add_exception_handler(404, answer_missing)
    for unusable in unavailable.ERRORS:
        app.add_exception_handler(unusable, unavailable.answer_unavailable)
    app.add_middleware(OnlyOnceServing, serves=lambda: services.serves)
    app.add_middleware(StorableAddresses)
    app.add_middleware(KnownHosts, hosts=known_hosts(settings))
    app.add_middleware(SecurityHeaders, public_url=settings.public_url)
    app.add_middleware(ForwardedAddress, trusted=settings.proxy_networks)
    app.add_middleware(OnlyByProxy, trusted=settings.proxy_networks)
    app.add_middleware(MeasuredRequests)
    return app


def known_hosts(settings: Settings) -> frozenset[str]:
    """The host names under which the API answers: loopback, its address, those of the settings."""
    public = urlsplit(settings.public_url).hostname if settings.public_url else None
    names = {*LOOPBACK, settings.host, *settings.allowed_hosts, *([public] if public else [])}
    return frozenset(names)


def _add_probes(app: FastAPI, services: Services) -> None:
    @app.get("/healthz")
    async def alive() -> dict[str, str]:
        return {"status": "alive"}

    @app.get("/readyz")
    async def ready() -> JSONResponse:
        database = await services.database_answers()
        policy = await services.policy_problem() if database else None
        checks = await services.checks() if database else {}
        ready = database and services.serves and services.platform.policies.in_force
        status = services.status
        body = {
            "status": "ready" if ready else "not ready",
            "database": "up" if database else "down",
            "engine": {
                "name": status.health.name,
                "state": state_of(status).value,
                "detail": status.health.detail,
                "queued": status.health.queued,
            },
            "keys": "up" if services.serves else "not compared with the database yet",
            "policy": policy or "up",
            **checks,
            "auditSealer": "down" if services.sealer.problem else "up",
            "auditLog": _sealing(services.watch),
            "tls": _tls(services.certificate),
        }
        return JSONResponse(body, status_code=200 if ready else 503)


def _tls(certificate: ServerCertificate | None) -> object:
    """Until when the certificate is good; an alarm leaves the API ready, as its clients decide."""
    if certificate is None:
        return "off"
    problem = certificate.problem
    return {
        "state": "alarm" if problem else "ok",
        "detail": problem,
        "notAfter": instants.write_seconds(certificate.ends),
    }


def _sealing(watch: SealingWatch) -> dict[str, object]:
    """How far the sealing is; an alarm leaves the API ready, or it would stop the API."""
    state = watch.state
    return {
        "state": "ok" if watch.ok else "alarm",
        "waiting": state.waiting if state else None,
        "oldestSeconds": round(state.seconds, 1) if state else None,
        "refused": state.refused if state else None,
        "blockedBy": str(watch.blocker) if watch.blocker else None,
    }
