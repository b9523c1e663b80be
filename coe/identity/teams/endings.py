"""Forget memberships and grants whose time is over, and record their end.

They count no more from that moment (`coe.access.memberships`); this only records it, and settles
those who are in no team any more.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import update
from sqlmodel import col

from coe.access.actor import Actor
from coe.access.load import renew_version
from coe.access.membership_changes import forget_ended, has_ended, lock_policy, without_team
from coe.audit.events import Tag
from coe.identity.teams.changes import refresh
from coe.identity.teams.leaving import settle_leavers
from coe.identity.teams.models import AccessRequest, RequestState
from coe.work import Work

DISPATCH: Final = Actor.of("service:dispatch", display_name="The dispatch of timers")
"""Who notes that the time of something is over."""


async def end_what_is_over(work: Work) -> int:
    """Record the end of each membership and grant whose time is over; how many there were."""
    if not await has_ended(work.session, work.now):
        return 0
    await lock_policy(work.session)
    ended = await forget_ended(work.session, work.now)
    if not ended:
        return 0
    await renew_version(work.session)
    for each in ended:
        await work.record(
            Tag.ACCESS_TEAM_END,
            resource=f"team:{each.team}",
            team=each.team,
            detail={"subject": each.subject, "role": each.role},
        )
    await work.session.execute(
        update(AccessRequest)
        .where(
            col(AccessRequest.state) == RequestState.GRANTED.value,
            col(AccessRequest.until) <= work.now,
        )
        .values(state=RequestState.ENDED.value)
        .execution_options(synchronize_session=False)
    )
    left = await without_team(work.session, {each.subject for each in ended}, work.now)
    held: dict[str, set[tuple[str, str]]] = {}
    for each in ended:
        held.setdefault(each.subject, set()).update((role, each.team) for role in each.roles)
    await settle_leavers(work, left, why="the last membership reached its end", held=held)
    await refresh(work)
    return len(ended)
