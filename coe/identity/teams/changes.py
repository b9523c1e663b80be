"""Carry out changes of memberships: write them, settle those who left, record what was done.

All sources end here; only the loading of the content folders writes memberships elsewhere
(`coe.access.load`), and `coe.identity.teams.loading` settles who left by it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from coe.access.decision import Decision
from coe.access.ends import live_grants
from coe.access.load import renew_version
from coe.access.membership_changes import (
    GivenMembership,
    MembersSource,
    check_source,
    drop_all,
    drop_membership,
    find_membership,
    grant_role,
    is_person,
    lock_policy,
    put_membership,
    without_team,
)
from coe.access.models import Membership
from coe.access.permissions import Permission
from coe.access.policy import Policy
from coe.access.policy_lines import Relation
from coe.access.records import read_policy, read_policy_version
from coe.access.replacement import MembershipChanges, replace_memberships
from coe.audit.events import Tag
from coe.formats import instants
from coe.identity.teams.checks import check_last_lead, find_team
from coe.identity.teams.leaving import settle_leavers
from coe.json_types import JSON
from coe.work import Work

_UNCOMMITTED: Final = "-uncommitted"


@dataclass(frozen=True, slots=True)
class Change:
    """A change of one membership: the roles that the subject gets; None takes it out of the team.

    With `until` the roles are granted beside those of the team's source, until then.
    """

    team: str
    subject: str
    display_name: str
    roles: tuple[str, ...] | None
    expires_at: datetime | None = None
    until: datetime | None = None

    def affected(self, before: Sequence[str] | None) -> frozenset[str]:
        """The roles that it gives or takes; "" stands for the membership itself."""
        old = frozenset(before or ()) | (frozenset() if before is None else {""})
        new = frozenset(self.roles or ()) | (frozenset() if self.roles is None else {""})
        if self.until is not None:
            return new - old
        return old ^ new


async def roles_before(work: Work, team: str, subject: str) -> list[str] | None:
    """The roles that a subject has from the team's source; None if that knows it not."""
    row = await find_membership(work.session, team, subject)
    if row is None or row.origin == "grant":
        return None
    return sorted(row.roles)


@dataclass(slots=True)
class Changing:
    """Changes of memberships in one transaction, which give the policy one new version together.

    Open it with `changing`: what is the same for all of them is done once, at its end.
    """

    work: Work
    _locked: bool = False
    _renewed: bool = False
    _out: set[str] = field(default_factory=set)

    async def make(
        self, origin: str, change: Change, *, tag: Tag, decision: Decision | None, reason: str
    ) -> None:
        """Make a change that is allowed and approved, and record it.

        Raises:
            Forbidden: The policy was changed meanwhile, and refuses it now.
            Conflict: The team was retired or given another source meanwhile, or nobody would lead
                it.
        """
        work = self.work
        if not self._locked:
            self._renewed = await hold_policy(work)
            self._locked = True
        team = await find_team(work, change.team)
        if is_person(change.subject) and change.until is None and change.roles is not None:
            check_source(change.team, team.members_source, origin)
        if self._renewed:
            decision = decide_again(work, change, decision)
            if origin == MembersSource.API and change.until is None:
                check_last_lead(work, change.team, change.subject, change.roles or ())
        before = _state(await find_membership(work.session, change.team, change.subject), work.now)
        await _write(work, origin, change)
        after = _state(await find_membership(work.session, change.team, change.subject), work.now)
        await work.record(
            tag,
            resource=f"team:{change.team}",
            team=change.team,
            decision=decision,
            reason=reason,
            detail={"subject": change.subject, "source": origin, "before": before, "after": after},
        )
        if after is None:
            self._out.add(change.subject)

    async def end(self) -> None:
        """Renew the policy, settle those who are in no team any more, and decide by it from now."""
        if not self._locked:
            return
        await renew_version(self.work.session)
        left = await without_team(self.work.session, self._out, self.work.now)
        await settle_leavers(self.work, left, why="this was the last team")
        await refresh(self.work)


async def hold_policy(work: Work) -> bool:
    """Hold the policy for a change; decide from now on by what was committed during the wait.

    Who was checked before is checked again if this is true: others held the policy meanwhile.

    Returns:
        Whether the policy is another than the one by which the actor was let in.
    """
    await lock_policy(work.session)
    known = work.policy.version.removesuffix(_UNCOMMITTED)
    if await read_policy_version(work.session) == known:
        return False
    await refresh(work)
    return True


def decide_again(work: Work, change: Change, decision: Decision | None) -> Decision | None:
    """The decision on a change by the policy as it is now; None for one that needs no permission.

    Raises:
        Forbidden: It is refused now.
    """
    if decision is None:
        return None
    relations = {Relation.SELF.value} if change.subject in work.actor.persons else set()
    return work.require(
        Permission(decision.permission),
        resource=f"team:{change.team}",
        team=change.team,
        relations=relations,
    )


@asynccontextmanager
async def changing(work: Work) -> AsyncIterator[Changing]:
    """Make any number of changes; the policy is renewed once, when all of them are made."""
    changes = Changing(work)
    yield changes
    await changes.end()


async def replace_all(
    work: Work,
    origin: str,
    given: Sequence[GivenMembership],
    *,
    subject: str,
) -> MembershipChanges:
    """Make the memberships of a person from an origin those given, and settle it if they left.

    The caller records the changes (`MembershipChanges.detail`).

    Args:
        work: The transaction.
        origin: Whose memberships they are, such as `oidc:acme`.
        given: All that the origin gives this person.
        subject: The person.
    """
    changes = await replace_memberships(work.session, origin, given, subject=subject, now=work.now)
    await settle_leavers(work, changes.left, why=f"{origin} gives no membership any more")
    await refresh(work)
    return changes


async def refresh(work: Work) -> None:
    """Let the rest of the transaction decide by the memberships as they are now."""
    record = await read_policy(work.session)
    work.policy = Policy(replace(record, version=f"{record.version}{_UNCOMMITTED}"), now=work.now)


async def _write(work: Work, origin: str, change: Change) -> None:
    given = GivenMembership(
        change.team, change.subject, change.display_name, change.roles or (), change.expires_at
    )
    if change.until is not None:
        await grant_role(work.session, given, change.until, now=work.now)
    elif change.roles is None and origin == MembersSource.API:
        await drop_all(work.session, [(change.team, change.subject)])
    elif change.roles is None:
        await drop_membership(work.session, change.team, change.subject, now=work.now)
    else:
        await put_membership(work.session, origin, given)


def _state(row: Membership | None, now: datetime) -> JSON:
    if row is None:
        return None
    return {
        "roles": [*sorted(row.roles)],
        "expiresAt": instants.write(row.expires_at) if row.expires_at else None,
        "granted": dict(live_grants(row.granted, now)),
    }
