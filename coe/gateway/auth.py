"""Who comes to the gateway, what they may touch, and the record of what was refused."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from typing import Final

from coe.access.actor import Actor
from coe.access.permissions import Permission
from coe.audit.events import AuditOutcome, Tag
from coe.engines.prefect_api import PrefectEngine, team_pool
from coe.engines.prefect_http import PrefectHTTP
from coe.errors import Forbidden, Unauthenticated
from coe.gateway.rules import Call, Ownership
from coe.identifiers import PLATFORM_TEAM, is_slug
from coe.work import Platform, RequestInfo

LONGEST_PATH: Final = 500


@dataclass(frozen=True, slots=True)
class Door:
    """One team's door: who came, from where, and what is the team's own."""

    team: str
    pool: str
    actor: Actor
    about: RequestInfo
    owner: Ownership


@dataclass(slots=True)
class Doors:
    """The doors of all teams.

    Attributes:
        platform: Whose tokens, policy and log count.
        http: The Prefect server, with its own auth string.
        engine: What makes the pool of a team whose worker comes before its first flow.
    """

    platform: Platform
    http: PrefectHTTP
    engine: PrefectEngine
    _owners: dict[str, Ownership] = field(default_factory=dict)
    _pools: set[str] = field(default_factory=set)

    async def enter(self, team: str, bearer: str, about: RequestInfo) -> Door:
        """Find out who comes, and whether the policy lets them to this team's door.

        Raises:
            Unauthenticated: The token is not valid.
            Forbidden: It is not one of this team's workers; that is recorded.
        """
        actor = await self.platform.authenticate(bearer, about)
        async with self.platform.database.session() as session:
            policy = await self.platform.policies.current(session)
        known = is_slug(team)
        if not known or not policy.decide(actor, Permission.WORKER_CONNECT, team=team).allowed:
            named = team if known else PLATFORM_TEAM
            async with self.platform.work(actor, about) as work:
                work.require(Permission.WORKER_CONNECT, resource=f"team:{named}", team=named)
            raise Forbidden
        pool = team_pool(team)
        owner = self._owners.setdefault(team, Ownership(self.http, pool))
        return Door(team, pool, actor, about, owner)

    async def admit(self, door: Door, call: Call, body: object = None) -> None:
        """Let a listed call through if all that it names is the team's own.

        Raises:
            Forbidden: It is not; that is recorded.
            Unavailable: The server cannot be asked.
        """
        await self._ensure_pool(door)
        if not await door.owner.of(call, body):
            raise await self.refusal(door, call.rule.method, call.path, "not the team's own")

    async def refusal(self, door: Door, method: str, path: str, why: str) -> Forbidden:
        """Record that a call was refused, and give the error to raise."""
        async with self.platform.work(door.actor, door.about) as work:
            await work.record(
                Tag.ENGINES_WORKER_REFUSE,
                resource=f"team:{door.team}",
                team=door.team,
                detail={"method": method, "path": path[:LONGEST_PATH]},
                reason=f"the gateway refused a call: {why}",
                outcome=AuditOutcome.DENIED,
            )
        return Forbidden(f"the gateway refuses this call: {why}")

    def forget_pool(self, door: Door) -> None:
        """Make sure of the team's pool again at the next call."""
        self._pools.discard(door.pool)

    async def _ensure_pool(self, door: Door) -> None:
        if door.pool not in self._pools:
            await self.engine.ensure_pool(door.pool)
            self._pools.add(door.pool)


def bearer_of(header: str) -> str:
    """The token of an Authorization header: a bearer's, or the password of basic (RFC 7617).

    Raises:
        Unauthenticated: It is neither.
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
    """The token in an auth string of Prefect's form, `user:token`, or the token alone."""
    return auth.partition(":")[2] or auth
