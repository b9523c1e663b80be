"""Read and Work: the actor, the transaction and the policy of a call.

Every verb takes one of the two as its first argument. `Read` cannot record or require, `Work` can:
the type checker keeps readers from calling writers. Only this module opens sessions for verbs and
commits, once, at the end.
"""

from __future__ import annotations

import asyncio
from collections.abc import (
    AsyncIterator,
    Callable,
    Collection,
    Hashable,
    Sequence,
)
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar, TypeVarTuple, cast

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from coe.access import machines, tokens
from coe.access.actor import Actor, ActorKind, DataClass
from coe.access.asking import explain_refusal
from coe.access.permissions import Permission, in_scopes
from coe.access.policy import AccessScope, Decision, Policy
from coe.access.policy_store import PolicyStore
from coe.access.signed_policy import RENEWED, SIGNER
from coe.access.step_up import StepUpLine
from coe.access.token_uses import TokenUses
from coe.audit.events import AuditOutcome, Tag
from coe.audit.log import NewEvent, append
from coe.audit.models import AuditEvent
from coe.audit.readings import Readings
from coe.audit.refused_tags import refused_tag
from coe.authentication import Authentication, Caller, RequestInfo
from coe.confined.budget import Budget, Turns
from coe.confined.pool import Computing, shared
from coe.crypto.keys import Keyring
from coe.crypto.mac import MacKeys
from coe.crypto.signing import SigningKey
from coe.db import Database, DirectConnections, utcnow
from coe.db.plans import OnSession, Plan
from coe.db.standby import Standby
from coe.errors import Forbidden, Invalid, NotFound, Problem, StepUpRequired, Unauthenticated
from coe.identifiers import PLATFORM_TEAM
from coe.json_types import JSON
from coe.language.expressions.evaluator import Expressions
from coe.rate_limits import Limited, RateLimits
from coe.settings import Settings

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

__all__ = ["Platform", "Read", "RequestInfo", "Work", "check_reason"]

Rows = Sequence[Sequence[Any]]
MAX_REASON_LENGTH: Final = 2000


def check_reason(reason: str, *, path: str = "/reason") -> None:
    """Require a reason that says something, wherever a verb asks for one.

    Raises:
        Invalid: It is blank, or longer than `MAX_REASON_LENGTH`.
    """
    if not reason.strip():
        message = "say why: the reason is kept, also in the audit log"
        raise Invalid([Problem("INPUT_REASON", message, path=path)])
    if len(reason) > MAX_REASON_LENGTH:
        message = f"a reason has at most {MAX_REASON_LENGTH} characters, and this has {len(reason)}"
        raise Invalid([Problem("INPUT_REASON", message, path=path)])


async def highest_recorded(session: AsyncSession) -> int:
    """The highest version of the policy that the audit log knows; 0 without one.

    An older version that is put back into the database is noticed by it.
    """
    events = AuditEvent.metadata.tables["audit_events"].c
    found = await session.scalar(
        select(func.max(events.resource)).where(
            events.resource.startswith(VERSION_RESOURCE),
            events.action == Tag.ACCESS_POLICY_SIGN.value,
        )
    )
    return int(str(found).removeprefix(VERSION_RESOURCE)) if found else 0


VERSION_RESOURCE: Final = "policy:version:"


def _step_up_error(actor: Actor, permission: Permission, line: StepUpLine) -> StepUpRequired:
    if actor.sign_in is None:
        message = (
            f"{permission} asks for a sign-in at most {line.minutes} minutes old, and a token is "
            "none: do this in the browser"
        )
        return StepUpRequired(message, permission=permission.value, rule=str(line), signIn="/auth")
    message = f"{permission} asks for a sign-in at most {line.minutes} minutes old: sign in afresh"
    address = f"/auth/{actor.sign_in.issuer}/login?fresh=1"
    return StepUpRequired(message, permission=permission.value, rule=str(line), signIn=address)


@dataclass(slots=True)
class Read:
    """The context of a reader: a session, the actor, the current policy and the time.

    `readings` are the definitions that it opens for the actor: `Platform` records them.
    """

    platform: Platform
    session: AsyncSession
    actor: Actor
    policy: Policy
    now: datetime
    request: RequestInfo
    readings: Readings
    reader: DirectConnections | None = None
    """Where statements are read while the session has no connection: else that of the platform."""

    @property
    def keyring(self) -> Keyring:
        """The keys that open sealed columns."""
        return self.platform.keyring

    async def compute(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        """The result of a function over a caller's text, from a process that can be killed.

        Raises:
            BudgetSpent: The request has too much computed.
        """
        return await self.platform.computing.run(self.request.budget, function, *args)

    async def fetch(self, key: Hashable, make: Callable[[], Select[Any]], **values: Any) -> Rows:
        """The rows of a statement that is made once for the actor's rights, and run by the driver.

        `key` says what `make` makes, beside policy and actor, in a bounded size; `values` are those
        of its parameters.
        """
        plan = self.policy.keep(self.actor, key, lambda: Plan(make()))
        held = self.session.in_transaction()  # then that connection serves: a second could not come
        beside = self.reader or self.platform.reader
        return await plan.fetch(OnSession(self.session) if held else beside, **values)

    def scope(self, permission: Permission) -> AccessScope:
        """The teams and data classes in which the actor has the permission: every read's filter."""
        return self.policy.scope(self.actor, permission)

    def decide(
        self,
        permission: Permission,
        *,
        team: str,
        data_class: DataClass = DataClass.INTERNAL,
        relations: Collection[str] = (),
    ) -> Decision:
        """Decide whether the actor has the permission, without refusing and recording."""
        return self.policy.decide(
            self.actor,
            permission,
            team=team,
            data_class=data_class,
            relations=relations,
        )

    def step_up_for(
        self, permission: Permission, *, team: str, data_class: DataClass = DataClass.INTERNAL
    ) -> StepUpLine | None:
        """The line for which the actor has to sign in afresh; None where it need not.

        Only people are asked. A token proves no presence, so it is never fresh.
        """
        line = self.policy.step_up.asks(permission.value, team=team, data_class=data_class)
        if line is None or self.actor.kind is not ActorKind.PERSON:
            return None
        proved = self.actor.sign_in.proved_at if self.actor.sign_in else None
        fresh = proved is not None and self.now - proved <= timedelta(minutes=line.minutes)
        return None if fresh else line


@dataclass(slots=True)
class Work(Read):
    """The context of a writer, which can also require permissions and record events."""

    _denied: list[NewEvent] = field(default_factory=list)

    async def fetch(self, key: Hashable, make: Callable[[], Select[Any]], **values: Any) -> Rows:  # noqa: ARG002  # not kept here
        """The rows of a statement, as this transaction sees them."""
        return cast("Rows", (await self.session.execute(make(), values)).all())

    def require(
        self,
        permission: Permission,
        *,
        resource: str,
        team: str,
        data_class: DataClass = DataClass.INTERNAL,
        relations: Collection[str] = (),
        hide: bool = False,
        correlation_id: str | None = None,
    ) -> Decision:
        """Refuse unless the policy allows it; the refusal is recorded even after a roll-back.

        Args:
            permission: The permission that the verb needs.
            resource: The resource in the audit log, such as `run:<uuid>`.
            team: The team that owns the resource.
            data_class: The data class of the resource.
            relations: The actor's relations to it: author, requester, candidate, claimant.
            hide: Refuse as if the resource did not exist, for actors who may not read it.
            correlation_id: The correlation id of the run to which the resource belongs.

        Raises:
            Forbidden: With the permission and the deciding policy line.
            NotFound: The same, if `hide` is set.
            StepUpRequired: The policy allows it, to a person who signed in a moment ago.
        """
        decision = self.decide(
            permission,
            team=team,
            data_class=data_class,
            relations=relations,
        )
        if not decision.allowed:
            event = self._event(
                refused_tag(permission),
                resource=resource,
                team=team,
                decision=decision,
                detail={"permission": permission.value},
                reason=decision.explanation,
                outcome=AuditOutcome.DENIED,
                correlation_id=correlation_id,
            )
            self._denied.append(event)
            if hide:
                raise NotFound
            why = explain_refusal(self.policy, self.actor, decision, team, data_class)
            raise Forbidden(why, permission=permission.value, rule=decision.rule)
        stale = self.step_up_for(permission, team=team, data_class=data_class)
        if stale is not None:
            self._denied.append(
                self._event(
                    refused_tag(permission),
                    resource=resource,
                    team=team,
                    decision=decision,
                    detail={"permission": permission.value, "stepUp": str(stale)},
                    reason=f"A fresh sign-in is asked for: {stale}.",
                    outcome=AuditOutcome.DENIED,
                    correlation_id=correlation_id,
                )
            )
            raise _step_up_error(self.actor, permission, stale)
        return decision

    def require_somewhere(self, permission: Permission, *, resource: str) -> None:
        """Refuse an actor who has the permission in no team, before a text says which team's it is.

        The refusal is recorded and explained for the first of the actor's teams.

        Raises:
            Forbidden: With the permission.
        """
        if not self.scope(permission).empty:
            return
        team = min(self.policy.teams(self.actor.subject), default=PLATFORM_TEAM)
        self.require(permission, resource=resource, team=team)

    def require_scope(self, permission: Permission) -> None:
        """Refuse a token without the scope of the reading that finds what the verb names.

        Call it before the search. So a token that is too narrow hears that, and not that there is
        no such thing; it hears it of every name, whether or not there is one.

        Raises:
            Forbidden: With the permission.
        """
        scopes = self.actor.scopes
        if scopes is not None and not in_scopes(permission, scopes):
            team = min(self.policy.teams(self.actor.subject), default=PLATFORM_TEAM)
            self.require(permission, resource=f"team:{team}", team=team)

    async def record(
        self,
        tag: Tag,
        *,
        resource: str,
        team: str,
        decision: Decision | None = None,
        detail: JSON = None,
        reason: str | None = None,
        outcome: AuditOutcome = AuditOutcome.ALLOWED,
        correlation_id: str | None = None,
    ) -> None:
        """Insert an event of the audit log in this transaction: it commits with the change.

        `detail` (before and after) is sealed with the team's key. All other fields are stored in
        clear, so they must not contain personal data.
        """
        event = self._event(
            tag,
            resource=resource,
            team=team,
            decision=decision,
            detail=detail,
            reason=reason,
            outcome=outcome,
            correlation_id=correlation_id,
        )
        await append(self.session, self.keyring, event)

    def _event(
        self,
        tag: Tag,
        *,
        resource: str,
        team: str,
        decision: Decision | None,
        detail: JSON,
        reason: str | None,
        outcome: AuditOutcome,
        correlation_id: str | None,
    ) -> NewEvent:
        return NewEvent(
            at=self.now,
            actor=self.actor.subject,
            actor_kind=self.actor.kind,
            action=tag,
            resource=resource,
            team=team,
            outcome=outcome,
            rule=decision.rule if decision else None,
            reason=reason,
            correlation_id=correlation_id or self.request.correlation_id,
            request_id=self.request.request_id,
            address=self.request.address,
            detail=_with_credential(detail, self.actor),
        )


def _with_credential(detail: JSON, actor: Actor) -> JSON:
    """The detail, and with which credential it was done and who made that, if it has one."""
    if actor.credential is None or not isinstance(detail, dict | None):
        return detail
    return {**(detail or {}), "credential": actor.credential, "maker": actor.maker}


@dataclass(slots=True)
class Platform:
    """The parts that a composition root creates once: database, policies, keys, clock.

    `expressions` evaluates expressions outside of runs, such as the filters of schedules; its
    worker starts with the first evaluation. `authenticator` accepts further tokens beside those in
    the database: only the demo has one. `test_slots` bounds how many suites of submitted versions
    run at once. `computing` works on callers' texts; `turns` says which request may have it do so.
    """

    settings: Settings
    database: Database
    policies: PolicyStore
    keyring: Keyring
    signer: SigningKey
    macs: MacKeys
    clock: Callable[[], datetime] = utcnow
    expressions: Expressions = field(default_factory=lambda: Expressions(workers=1))
    authenticator: tokens.Authenticator | None = None
    test_slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(2))
    computing: Computing = field(default_factory=shared)
    turns: Turns = field(default_factory=Turns)
    machines: machines.MachineKeys = field(init=False)
    token_uses: TokenUses = field(init=False)
    reader: DirectConnections = field(init=False)
    standby: Standby | None = field(init=False)
    authentication: Authentication = field(init=False)

    def __post_init__(self) -> None:
        """Derive the keys for machines from the signing key; read the rate limits."""
        self.token_uses = TokenUses(self.database)
        self.reader = self.database.readers()
        self.standby = Standby.of(self.settings, self.reader)
        seconds = self.settings.access_token_seconds
        self.machines = machines.MachineKeys.of(
            self.signer, self.macs, self.settings.issuer, seconds
        )
        self.authentication = Authentication(
            database=self.database,
            reader=self.reader,
            policies=self.policies,
            keyring=self.keyring,
            macs=self.macs,
            token_uses=self.token_uses,
            machines=self.machines,
            rate_limits=RateLimits.of(self.database, self.settings.rate_limits),
            clock=lambda: self.clock(),  # noqa: PLW0108  # tests put another one in its place
            authenticator=self.authenticator,
        )

    @classmethod
    def open(
        cls,
        settings: Settings,
        *,
        name: str = "coe",
        pool_size: int = 10,
        authenticator: tokens.Authenticator | None = None,
        computing: Computing | None = None,
    ) -> Platform:
        """Create the parts from the settings; nothing connects yet."""
        signer = SigningKey.load(settings.signing_key_path, settings.log_origin)
        database = Database.serving(settings, name=name, pool_size=pool_size, info={SIGNER: signer})
        macs = MacKeys(settings.mac_key_path)
        return cls(
            settings=settings,
            database=database,
            policies=PolicyStore(signer.public, highest_recorded),
            keyring=Keyring(database, settings.kek_path, macs=macs),
            signer=signer,
            macs=macs,
            authenticator=authenticator,
            computing=computing or shared(),
        )

    async def compute(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        """The result of a function over a text, with a budget of its own (`Read.compute`)."""
        return await self.computing.run(Budget(), function, *args)

    async def close(self) -> None:
        """Close the database's connections and the worker of expressions."""
        await self.expressions.close()
        await self.token_uses.settle()
        await self.reader.close()
        if self.standby is not None:
            await self.standby.close()
        await self.database.close()

    async def authenticate(
        self, bearer: str, request: RequestInfo, *, connected: bool = False
    ) -> Actor:
        """Find the actor of a bearer token (`coe.authentication.Authentication.authenticate`)."""
        return (await self.enter(bearer, request, connected=connected)).actor

    async def enter(self, bearer: str, request: RequestInfo, *, connected: bool = False) -> Caller:
        """The same, with the policy in force if it was read with the token."""
        return await self.authentication.authenticate(bearer, request, connected=connected)

    async def refuse(self, refused: Unauthenticated, request: RequestInfo) -> None:
        """Count and record a refusal (`coe.authentication.Authentication.refuse`)."""
        await self.authentication.refuse(refused, request)

    async def limit(
        self,
        limited: Limited,
        request: RequestInfo,
        *,
        actor: Actor | None = None,
        amount: int = 1,
    ) -> None:
        """Count what somebody does (`coe.authentication.Authentication.limit`)."""
        await self.authentication.limit(limited, request, actor=actor, amount=amount)

    @asynccontextmanager
    async def read(
        self,
        actor: Actor,
        request: RequestInfo | None = None,
        readings: Readings | None = None,
        policy: Policy | None = None,
        standby: Standby | None = None,
    ) -> AsyncIterator[Read]:
        """Open a session for reading; it is never committed.

        The definitions that are read in it are recorded when it is over, unless `readings` takes
        them. `policy` is the one in force, if the caller has read that a moment ago; it must have
        done so for a session of the `standby`.
        """
        if readings is None:
            async with (
                self.readings(actor, request) as own,
                self.read(actor, request, own, policy, standby) as read,
            ):
                yield read
            return
        info = request or RequestInfo()
        database, reader = (standby.database, standby.reader) if standby else (self.database, None)
        async with database.session() as session:
            if policy is None:
                policy = await self.policies.current(session, now=self.clock())
            yield Read(self, session, actor, policy, self.clock(), info, readings, reader)

    async def current_policy(self) -> Policy:
        """The policy in force now."""
        async with self.database.session() as session:
            return await self.policies.current(session, now=self.clock())

    @asynccontextmanager
    async def readings(
        self, actor: Actor, request: RequestInfo | None = None
    ) -> AsyncIterator[Readings]:
        """Take the readings of several sessions, and record them at the end in one transaction.

        What was read must not be handed out before the end.
        """
        taken = Readings()
        try:
            yield taken
        finally:
            if taken:
                async with self.work(actor, request) as work:
                    work.readings = taken

    @asynccontextmanager
    async def work(self, actor: Actor, request: RequestInfo | None = None) -> AsyncIterator[Work]:
        """Open a transaction for a verb: commit at the end, roll back on any error.

        Refusals, and readings of definitions, are recorded in both cases: after a roll-back in a
        second transaction.
        """
        info = request or RequestInfo()
        async with self.database.session() as session:
            policy = await self.policies.current(session, now=self.clock())
            work = Work(self, session, actor, policy, self.clock(), info, Readings())
            try:
                yield work
                await self._record_policy(session, work)
                await self._append(session, work)
                await session.commit()
            except BaseException:
                await session.rollback()
                session.info.pop(RENEWED, None)
                await self._append(session, work)
                await session.commit()
                raise

    async def _record_policy(self, session: AsyncSession, work: Work) -> None:
        """Record the version of the policy that the transaction has made and signed, if any."""
        version = session.info.pop(RENEWED, None)
        if version is not None:
            await work.record(
                Tag.ACCESS_POLICY_SIGN,
                resource=f"{VERSION_RESOURCE}{version:012d}",
                team=PLATFORM_TEAM,
            )

    async def _append(self, session: AsyncSession, work: Work) -> None:
        denied, work._denied = work._denied, []  # noqa: SLF001  # the two classes are one mechanism
        for event in denied:
            await append(session, self.keyring, event)
        for read in work.readings.take():
            await work.record(
                Tag.CATALOG_DEFINITION_READ_DATA,
                resource=read.resource,
                team=read.team,
                decision=work.decide(
                    Permission.ENTRY_READ, team=read.team, data_class=read.data_class
                ),
                detail={"versions": list(read.refs)},
            )
