"""Authenticate workers at the gateway, authorize their calls, and record refusals."""

from __future__ import annotations

import base64
import binascii
import time
from dataclasses import dataclass, field
from typing import Final

from coe.access.actor import Actor
from coe.access.permissions import Permission
from coe.audit.events import AuditOutcome, Tag
from coe.engines.prefect_engine import PrefectEngine, team_pool
from coe.engines.prefect_http import PrefectHTTP
from coe.errors import Forbidden, Unauthenticated
from coe.gateway.rules import AllowedCall, Ownership
from coe.identifiers import PLATFORM_TEAM, is_slug
from coe.runs.worker_presence import note_worker
from coe.work import Platform, RequestInfo

NOTE_SECONDS: Final = 5.0
"""Between two notes that a worker of a team was seen; it asks for runs every two seconds."""
_MAX_RECORDED_PATH: Final = 500


@dataclass(frozen=True, slots=True)
class AuthenticatedWorker:
    """A worker that may connect for its team, and the resources that the team owns."""

    team: str
    pool: str
    actor: Actor
    request_info: RequestInfo
    ownership: Ownership


@dataclass(slots=True)
class WorkerAuthentication:
    """Authenticates and authorizes the workers of all teams.

    Attributes:
        platform: Has the tokens, the policy and the audit log.
        http: The Prefect server, with its auth string.
        engine: Creates the pool of a team whose worker connects before its first flow.
    """

    platform: Platform
    http: PrefectHTTP
    engine: PrefectEngine
    _noted: dict[str, float] = field(default_factory=dict)
    _ownerships: dict[str, Ownership] = field(default_factory=dict)
    _pools: set[str] = field(default_factory=set)

    async def authenticate(
        self, team: str, bearer: str, request_info: RequestInfo, *, connected: bool = False
    ) -> AuthenticatedWorker:
        """Authenticate a worker, and check that the policy lets it connect for this team.

        With `connected` its token was good when its connection was opened, and may have expired.

        Raises:
            Unauthenticated: The token is not valid.
            Forbidden: It belongs to no worker of this team; that is recorded.
        """
        actor = await self.platform.authenticate(bearer, request_info, connected=connected)
        async with self.platform.database.session() as session:
            policy = await self.platform.policies.current(session, now=self.platform.clock())
        valid = is_slug(team)
        if not valid or not policy.decide(actor, Permission.WORKER_CONNECT, team=team).allowed:
            recorded_team = team if valid else PLATFORM_TEAM
            async with self.platform.work(actor, request_info) as work:
                work.require(
                    Permission.WORKER_CONNECT, resource=f"team:{recorded_team}", team=recorded_team
                )
            raise Forbidden
        pool = team_pool(team)
        ownership = self._ownerships.setdefault(team, Ownership(self.http, pool))
        return AuthenticatedWorker(team, pool, actor, request_info, ownership)

    async def authorize(
        self, worker: AuthenticatedWorker, call: AllowedCall, body: object = None
    ) -> None:
        """Check that the team owns all resources that a call names.

        Raises:
            Forbidden: It does not; that is recorded.
            Unavailable: The Prefect server cannot be reached.
        """
        await self._ensure_pool(worker)
        if not await worker.ownership.covers(call, body):
            raise await self.refusal(worker, call.rule.method, call.path, "not the team's own")

    async def note_presence(self, worker: AuthenticatedWorker) -> None:
        """Note that a worker of the team asks for runs; at most every few seconds."""
        now = time.monotonic()
        if now - self._noted.get(worker.team, -NOTE_SECONDS) < NOTE_SECONDS:
            return
        self._noted[worker.team] = now
        async with self.platform.database.session() as session:
            await note_worker(session, worker.team)
            await session.commit()

    async def refusal(
        self, worker: AuthenticatedWorker, method: str, path: str, why: str
    ) -> Forbidden:
        """Record that a call was refused, and return the error to raise."""
        async with self.platform.work(worker.actor, worker.request_info) as work:
            await work.record(
                Tag.ENGINES_WORKER_REFUSE,
                resource=f"team:{worker.team}",
                team=worker.team,
                detail={"method": method, "path": path[:_MAX_RECORDED_PATH]},
                reason=f"the gateway refused a call: {why}",
                outcome=AuditOutcome.DENIED,
            )
        return Forbidden(f"the gateway refuses this call: {why}")

    def forget_pool(self, worker: AuthenticatedWorker) -> None:
        """Check at the next call again that the team's pool exists."""
        self._pools.discard(worker.pool)

    async def _ensure_pool(self, worker: AuthenticatedWorker) -> None:
        if worker.pool not in self._pools:
            await self.engine.ensure_pool(worker.pool)
            self._pools.add(worker.pool)


def bearer_of(header: str) -> str:
    """The token of an Authorization header: a bearer token, or the password of Basic (RFC 7617).

    Raises:
        Unauthenticated: The header has neither.
    """
    scheme, _, value = header.partition(" ")
    if scheme.lower() == "bearer" and value.strip():
        return value.strip()
    if scheme.lower() == "basic":
        try:
            return token_of(base64.b64decode(value.strip(), validate=True).decode())
        except (binascii.Error, UnicodeDecodeError):
            raise Unauthenticated from None
    raise Unauthenticated


def token_of(auth: str) -> str:
    """The token of an auth string of Prefect: `user:token`, or the token alone."""
    return auth.partition(":")[2] or auth
