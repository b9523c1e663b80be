"""Who sends a request: the actor of its credential, and how often it may ask.

Below `coe.work`, because a verb begins with an actor. What is refused here is recorded in a
transaction of its own, once in `REFUSAL_PERIOD` for each credential, reason and address: whoever
sends an old token again and again does not fill the log.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from coe.access import doorman, machines, people, tokens
from coe.access.actor import Actor
from coe.access.policy import Policy
from coe.access.policy_store import PolicyStore
from coe.access.token_uses import TokenUses
from coe.audit.events import AuditOutcome, Tag
from coe.audit.log import NewEvent, append
from coe.confined.budget import Budget
from coe.crypto.keys import Keyring
from coe.crypto.mac import MacKeys
from coe.db import Database, DirectConnections, new_id
from coe.errors import Unauthenticated
from coe.identifiers import PLATFORM_TEAM
from coe.rate_limits import Exceeded, Limited, RateLimits

RATE_LIMITER: Final = Actor.of("service:rate-limit", display_name="The rate limits")
"""In the audit log, the actor of what was refused before it was known who asks."""
REFUSAL_PERIOD: Final = timedelta(hours=1)
"""Within this time one event says that a credential is refused, however often it is sent."""


@dataclass(frozen=True, slots=True)
class RequestInfo:
    """The id of a request, its business correlation id, the client's address.

    `trace_id` is that of the caller's W3C trace context: 32 digits of hex. `budget` is what the
    request may have computed.
    """

    request_id: str = field(default_factory=lambda: str(new_id()))
    correlation_id: str | None = None
    address: str | None = None
    trace_id: str | None = None
    budget: Budget = field(default_factory=Budget, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sends a request, and the policy in force when that was read, if it was read with it."""

    actor: Actor
    policy: Policy | None = None


@dataclass(frozen=True, slots=True)
class Authentication:
    """Authenticates the requests of one process; the parts are those of its `Platform`."""

    database: Database
    reader: DirectConnections
    policies: PolicyStore
    keyring: Keyring
    macs: MacKeys
    token_uses: TokenUses
    machines: machines.MachineKeys
    rate_limits: RateLimits
    clock: Callable[[], datetime]
    authenticator: tokens.Authenticator | None = None

    async def authenticate(
        self, bearer: str, request: RequestInfo, *, connected: bool = False
    ) -> Caller:
        """Find the actor of a bearer token; the use of an expired or revoked one is recorded.

        It is an API token, or the access token of a machine. With `connected` the token was good
        when a connection was opened, and the question is whether its credential still is.

        Raises:
            Unauthenticated: It is no valid token, or the person is suspended or has left.
            RateLimited: The address has sent too many that are none.
        """
        try:
            return await self._authenticate(bearer, request, connected=connected)
        except Unauthenticated as refused:
            await self.refuse(refused, request)
            raise

    async def _authenticate(self, bearer: str, request: RequestInfo, *, connected: bool) -> Caller:
        now = self.clock()
        actor = None
        if self.authenticator is not None:
            actor = self.authenticator.authenticate(bearer, request.address or "")
        if actor is None and not machines.is_access_token(bearer):
            return await self._by_token(bearer, request, now)
        async with self.database.session() as session:
            found = actor or await machines.authenticate_machine(
                session, self.machines, bearer, now=now, connected=connected
            )
            return Caller(await people.admit(session, found))

    async def _by_token(self, bearer: str, request: RequestInfo, now: datetime) -> Caller:
        entered = await doorman.enter(self.reader, self.macs, bearer, now=now)
        found = entered.found
        self.token_uses.note(
            found.token_id, at=now, address=request.address, last=found.last_used_at
        )
        return Caller(found.actor, self.policies.known(entered.policy_version, now=now))

    async def refuse(self, refused: Unauthenticated, request: RequestInfo) -> None:
        """Count a refused credential, and record it if it is known whose it is; no way in omits it.

        It is counted first: what is beyond the limit is not recorded.

        Raises:
            Exceeded: The address has sent too many credentials that were refused.
        """
        await self.limit(Limited.REFUSED_CREDENTIAL, request)
        known = _known(refused)
        if known is None:
            return
        actor, resource, why = known
        if not await self.is_news(resource, why, request):
            return
        async with self.database.session() as session:
            await self._record(session, actor, Tag.ACCESS_LOGIN_REFUSE, resource, why, request)

    async def is_news(self, resource: str, why: str, request: RequestInfo) -> bool:
        """Whether this was not refused for this reason and address within `REFUSAL_PERIOD`."""
        what = f"refused {resource} {why} {request.address or ''}"
        return await self.rate_limits.is_first(what, REFUSAL_PERIOD, now=self.clock())

    async def limit(
        self,
        limited: Limited,
        request: RequestInfo,
        *,
        actor: Actor | None = None,
        amount: int = 1,
    ) -> None:
        """Count what an actor, or an address before the actor is known, does; refuse too much.

        That it refuses is recorded, at most once a minute for each of them.

        Raises:
            Exceeded: With the seconds after which to try again.
        """
        subject = actor.subject if actor else None
        now = self.clock()
        try:
            await self.rate_limits.take(
                limited, now=now, subject=subject, address=request.address, amount=amount
            )
        except Exceeded as exceeded:
            if exceeded.is_news:
                async with self.database.session() as session:
                    await self._record(
                        session,
                        actor or RATE_LIMITER,
                        Tag.ACCESS_REQUEST_LIMIT,
                        f"limit:{limited}",
                        exceeded.message,
                        request,
                    )
            raise

    async def _record(  # noqa: PLR0917  # the parts of an event
        self,
        session: AsyncSession,
        actor: Actor,
        action: Tag,
        resource: str,
        why: str,
        request: RequestInfo,
    ) -> None:
        policy = await self.policies.current(session, now=self.clock())
        event = NewEvent(
            at=self.clock(),
            actor=actor.subject,
            actor_kind=actor.kind,
            action=action,
            resource=resource,
            team=min(policy.teams(actor.subject), default=PLATFORM_TEAM),
            outcome=AuditOutcome.DENIED,
            reason=why,
            correlation_id=request.correlation_id,
            request_id=request.request_id,
            address=request.address,
        )
        await append(session, self.keyring, event)
        await session.commit()


def _known(refused: Unauthenticated) -> tuple[Actor, str, str] | None:
    """Whose credential was refused, which, and why; None for one of nobody."""
    match refused:
        case machines.RefusedCredential():
            why = f"The credential was refused: {refused.why}."
            return Actor.of(refused.subject), refused.credential, why
        case tokens.InactiveToken():
            why = f"The token was refused: {refused.why}."
            return Actor.of(refused.subject), f"token:{refused.token_id}", why
        case people.InactivePerson():
            why = f"The account is {refused.state.lower()}."
            return Actor.of(refused.subject), f"person:{refused.subject}", why
    return None
