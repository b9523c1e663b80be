"""The process of the API: its application, its background loops, and their end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

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
from coe.catalog.search.following import follow_forever
from coe.crypto.server_certificate import ServerCertificate
from coe.db import Database, DatabaseNotTrusted
from coe.engines.prefect_engine import PrefectEngine
from coe.execution.dispatch import engine_health, queued_messages
from coe.execution.engine import Engine, EngineHealth
from coe.formats import instants
from coe.gateway.router import Gateway
from coe.identity.signin.sign_ins import SignIns
from coe.installation.checks import Health
from coe.installation.status import Check, outbox_check, schema_check, schema_state, sinks_check
from coe.processes.housekeeping import Housekeeping
from coe.processes.http_process import HttpProcess
from coe.processes.readiness import engine_check, sealing_check
from coe.processes.sealing import WATCH_SECONDS, Sealing
from coe.settings import Settings
from coe.web.missing_page import answer_missing
from coe.web.pages import Persona, routes
from coe.work import Platform

ENGINE_CHECK_SECONDS: Final = 2.0
DATABASES: Final = (
    "database_url",
    "database_direct_url",
    "database_replica_url",
    "sealer_database_url",
)

NO_ENGINE: Final = EngineHealth(
    "none",
    ready=False,
    detail="no engine is configured (COE_PREFECT_URL): runs wait",
)

_log = logging.getLogger("coe.app")


@dataclass(slots=True)
class Services:
    """The parts of an API process; the lifespan of its application starts and stops them.

    Without `COE_LOOPS` it has no loops that write and no sealer: other processes do that. Without
    `COE_GATEWAY` it has no gateway.
    """

    process: HttpProcess
    engine: Engine | None
    gateway: Gateway | None
    sealing: Sealing | None
    sign_ins: SignIns
    watch: SealingWatch
    status: EngineStatus

    @classmethod
    def open(
        cls,
        settings: Settings,
        engine: Engine | None,
        authenticator: Authenticator | None,
        *,
        keys_compared: bool,
    ) -> Services:
        """Create the parts; nothing connects yet.

        Raises:
            CertificateRefused: The certificate or its key cannot be served.
        """
        platform = Platform.open(settings, name="coe-api", authenticator=authenticator)

        async def look() -> list[Check]:
            return await made.look()

        process = HttpProcess("api", platform, look, serves=keys_compared)
        if engine is None and settings.prefect_url is not None:
            engine = PrefectEngine.open(settings)
        name = engine.name if engine else NO_ENGINE.name
        starting = EngineHealth(name, ready=False, detail="the engine is starting; runs wait")
        sealing = Sealing.open(platform) if settings.loops else None
        made = cls(
            process=process,
            engine=engine,
            gateway=Gateway.open(platform) if settings.gateway else None,
            sealing=sealing,
            sign_ins=SignIns.open(platform),
            watch=sealing.watch if sealing else SealingWatch(settings.seal_alarm_seconds),
            status=EngineStatus(starting if engine else NO_ENGINE, seen=False),
        )
        return made

    @property
    def platform(self) -> Platform:
        """The platform of this process."""
        return self.process.platform

    @property
    def serves(self) -> bool:
        """Whether its keys are those of the database; without that, nothing is served."""
        return self.process.serves

    @property
    def sealer(self) -> LogSealer | None:
        """The sealer of this process."""
        return self.sealing.sealer if self.sealing else None

    @property
    def tasks(self) -> list[asyncio.Task[None]]:
        """The background loops that run."""
        return self.process.background.tasks

    def start(self) -> None:
        """Start the loops that only read: the checks of the engine and of the sealing."""
        self.platform.computing.warm()
        self.process.background.run("engine check", self._check_engine)
        self.process.background.run("audit watch", self._watch_sealing)
        self.process.background.run("search index", partial(follow_forever, self.platform))

    def start_writing(self) -> None:
        """Start the sealer and the loops of runs, unless other processes have them."""
        if self.sealing is not None:
            self.process.background.run("audit sealer", self.sealing.sealer.run_forever)
            for name, loop in Housekeeping(self.platform, self.engine).loops().items():
                self.process.background.run(name, loop)

    async def drain(self) -> None:
        """Have the workers of teams connect to another process."""
        if self.gateway is not None:
            await self.gateway.drain()

    async def stop(self) -> None:
        """Close what the API has beside its platform."""
        if self.gateway is not None:
            await self.gateway.close()
        if self.engine is not None:
            await self.engine.close()
        await self.sign_ins.close()
        if self.sealing is not None:
            await self.sealing.close()

    async def look(self) -> list[Check]:
        """How its own parts are; it serves without them too."""
        sealing = sealing_check(self.watch, own=False)
        return [engine_check(self.status.health, needed=False), sealing]

    async def database_answers(self) -> bool:
        """Whether the database answers; looks at the sealing of the audit log."""
        try:
            async with self.platform.database.session() as session:
                await self.watch.look(session)
        except (SQLAlchemyError, OSError):
            return False
        return True

    async def checks(self) -> tuple[bool, dict[str, object]]:
        """Whether this version works with the tables; how they, the outbox and the sinks are.

        Anybody may ask, so the names and errors of the sinks are left to `coe status`.
        """
        async with self.platform.database.session() as session:
            revision, outbox = await schema_state(session), await outbox_check(session)
            sinks = await sinks_check(session)
        schema = await asyncio.to_thread(schema_check, revision)
        shown: dict[str, object] = {
            each.part: {"state": each.health.value, "detail": each.detail, **each.data}
            for each in (schema, outbox)
        }
        return schema.health is not Health.PROBLEM, shown | {
            sinks.part: {"state": sinks.health.value}
        }

    async def policy_problem(self) -> str | None:
        """Why the policy in the database does not count, if it does not; the last good one does."""
        policies = self.platform.policies
        async with self.platform.database.session() as session:
            await policies.current(session, now=self.platform.clock())
        if policies.problem is None and not policies.in_force:
            return "The database has no policy: load it with `coe content load`."
        return policies.problem

    async def _watch_sealing(self) -> None:
        """Raise the alarm when the audit log is not sealed in time, by whichever process."""
        database: Database = self.sealing.database if self.sealing else self.platform.database
        while True:
            async with database.session() as session:
                await self.watch.look(session)
            await asyncio.sleep(WATCH_SECONDS)

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
    services = Services.open(settings, engine, authenticator, keys_compared=keys_compared)
    app = services.process.application("Process centre of excellence", services)
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
    return app


def _add_probes(app: FastAPI, services: Services) -> None:
    @app.get("/healthz")
    async def alive() -> dict[str, str]:
        return {"status": "alive"}

    @app.get("/readyz")
    async def ready() -> JSONResponse:
        database = await services.database_answers()
        policy = await services.policy_problem() if database else None
        fits, checks = await services.checks() if database else (False, {})
        in_force, draining = services.platform.policies.in_force, services.process.probes.draining
        ready = fits and services.serves and in_force and not draining
        status = services.status
        body = {
            "status": "ready" if ready else "not ready",
            "ending": draining,
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
            "auditSealer": _sealer(services.sealer),
            "auditLog": _sealing(services.watch),
            "tls": _tls(services.process.certificate),
        }
        return JSONResponse(body, status_code=200 if ready else 503)


def _sealer(sealer: LogSealer | None) -> str:
    """Whether the sealer of this process works, if it has one."""
    if sealer is None:
        return "another process"
    return "down" if sealer.problem else "up"


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
    }
