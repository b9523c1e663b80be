"""The store of the policy in force."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from coe.access.policy import Policy
from coe.access.records import NO_POLICY, PolicyRecord, read_policy, read_policy_version
from coe.access.signed_policy import fits, problem_of
from coe.crypto.signing import VerifyKey
from coe.db import utcnow

_log = logging.getLogger(__name__)

Floor = Callable[[AsyncSession], Awaitable[int]]
"""The highest version that the audit log knows."""
_CHECK_AGAIN: Final = timedelta(seconds=5)


@dataclass(slots=True)
class PolicyStore:
    """Keeps the policy in force: one query a call, and a new `Policy` only after a change.

    With a `key`, a version counts only if the key has signed it, and if no higher one was seen,
    here or by the audit log (`floor`). Otherwise the last good one stays in force, in a process
    that has none a policy that refuses everything, and `problem` says why.
    """

    key: VerifyKey | None = None
    floor: Floor | None = None
    problem: str | None = None
    _policy: Policy = field(default_factory=Policy)
    _record: PolicyRecord = field(default_factory=PolicyRecord)
    _highest: int | None = None
    _refused: tuple[str, datetime] | None = None
    _loading: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def current(self, session: AsyncSession, *, now: datetime | None = None) -> Policy:
        """The policy in force, as the session sees it, with the memberships that count now.

        An installation without a policy gets one that refuses everything. A new policy replaces the
        old reference only when it is complete; a caller that holds the old one keeps it.

        Args:
            session: Only read from.
            now: By default the clock's time.
        """
        now = now or utcnow()
        version = await read_policy_version(session)
        if not self._is_settled(version, now):
            async with self._loading:
                # again: another task may have loaded it, or a newer one, meanwhile
                if not self._is_settled(await read_policy_version(session), now):
                    await self._load(session, now)
        until = self._policy.memberships.until
        if until is not None and until <= now:
            self._policy = Policy(self._record, now=now)
        return self._policy

    def known(self, version: str, *, now: datetime) -> Policy | None:
        """The policy in force, if it is of this version, which was read just now; else None."""
        until = self._policy.memberships.until
        if version != self._record.version or (until is not None and until <= now):
            return None
        return self._policy

    @property
    def number(self) -> int:
        """The number of the version in force; 0 without one."""
        return self._record.number

    @property
    def in_force(self) -> bool:
        """Whether a policy is in force that may allow something."""
        return self._record.version != NO_POLICY

    def _is_settled(self, version: str, now: datetime) -> bool:
        """Whether this version needs no loading: it is in force, or was refused just now.

        If it is in force, what was wrong with another one is over.
        """
        if version != self._record.version:
            return self._is_refused(version, now)
        if self.in_force:
            self.problem = self._refused = None
        return True

    def _is_refused(self, version: str, now: datetime) -> bool:
        """Whether this version was refused just now, so that it is not read again yet."""
        if self._refused is None:
            return False
        refused, at = self._refused
        return refused == version and at <= now < at + _CHECK_AGAIN

    async def _load(self, session: AsyncSession, now: datetime) -> None:
        if self.key is not None and self._highest is None:  # before the policy is read: it may rise
            self._highest = await self.floor(session) if self.floor is not None else 0
        record = await read_policy(session)
        if record.version == self._record.version:
            return
        problem = self._problem_of(record)
        if problem is None:
            self._policy, self._record = Policy(record, now=now), record
            self._highest = max(self._highest or 0, record.number)
            self.problem = self._refused = None
            return
        if problem != self.problem:
            _log.error("%s Version %s stays in force.", problem, self._record.version)
        self.problem, self._refused = problem, (record.version, now)
        if not self.in_force:
            self._policy = Policy(broken=problem)

    def _problem_of(self, record: PolicyRecord) -> str | None:
        if self.key is None:
            return None
        if record.version == NO_POLICY and not self._highest:
            return None
        if record.parts is None or not fits(
            self.key, record.number, record.parts, record.signature
        ):
            return problem_of(record.signature)
        if record.number < (self._highest or 0):
            return (
                f"The policy in the database is version {record.number}, but {self._highest} was "
                "in force: somebody put an older one back. `coe content load` makes a new one."
            )
        return None
