"""What a person answers for: flows, schedules, tokens of services, runs and open tasks.

It is the list that a lead works through when somebody leaves.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Result, Row, exists, or_, select
from sqlmodel import col

from coe.access.machine_models import MachineClient, TrustRule, WorkerKey
from coe.access.machines import MachineRow, subject_of
from coe.access.models import AccessToken
from coe.access.permissions import Permission
from coe.audit.events import Tag
from coe.catalog.models import Lifecycle
from coe.catalog.tables import ENTRIES, VERSIONS
from coe.governance.subjects import team_of_subject
from coe.identifiers import PLATFORM_TEAM
from coe.runs.models import ENDED
from coe.runs.schedule_models import Schedule
from coe.runs.tables import RUNS, TASKS
from coe.runs.task_models import OPEN_TASK_STATES
from coe.work import Work

MAX_OF_A_KIND: Final = 500
_SCHEDULES: Final = Schedule.metadata.tables[str(Schedule.__tablename__)]


class HoldingKind(StrEnum):
    """What kind of thing somebody answers for."""

    ENTRY = "ENTRY"
    """A flow, template or decision table whose process owner or deputy they are."""
    SCHEDULE = "SCHEDULE"
    """A flow of theirs that starts by itself."""
    DRAFT = "DRAFT"
    """A version that they wrote and that is not published yet."""
    TOKEN = "TOKEN"  # noqa: S105  # the name of a kind
    """A token of a service that they made and that works."""
    MACHINE = "MACHINE"
    """A worker, a client or jobs of a CI that they let in, and that still come in."""
    RUN = "RUN"
    """A run that they started and that has not ended."""
    TASK = "TASK"
    """An open human task that they have."""


@dataclass(frozen=True, slots=True)
class Holding:
    """A thing that somebody answers for: what they are to it, and the team that owns it."""

    kind: HoldingKind
    name: str
    as_: str
    team: str


async def holdings_of(work: Work, subject: str) -> list[Holding]:
    """What a person answers for in the teams whose access the actor may review; recorded.

    At most `MAX_OF_A_KIND` of each kind, in order.

    Raises:
        Forbidden: `access:review` in the person's team is refused, and in every other.
    """
    scope = work.scope(Permission.ACCESS_REVIEW)
    team = team_of_subject(work.policy, subject)
    decision = None
    if scope.empty:
        resource = f"person:{subject}"
        decision = work.require(Permission.ACCESS_REVIEW, resource=resource, team=team)
    found = [each async for each in _all(work, subject) if scope.allows(each.team)]
    await work.record(
        Tag.ACCESS_GRANTS_REVIEW,
        resource=f"person:{subject}",
        team=team if scope.allows(team) else PLATFORM_TEAM,
        decision=decision,
        detail={"holdings": len(found)},
    )
    return sorted(found, key=lambda each: (each.kind, each.team, each.name, each.as_))


async def _all(work: Work, subject: str) -> AsyncIterator[Holding]:
    for row in await _entries(work, subject):
        as_ = "process owner" if row.process_owner == subject else "deputy"
        yield Holding(HoldingKind.ENTRY, f"{row.namespace}/{row.name}", as_, row.team)
        if row.scheduled:
            yield Holding(HoldingKind.SCHEDULE, f"{row.namespace}/{row.name}", as_, row.team)
    for row in await _drafts(work, subject):
        name = f"{row.namespace}/{row.name}@{row.version}"
        yield Holding(HoldingKind.DRAFT, name, "author", row.team)
    for token in await _tokens(work, subject):
        team = token.team or team_of_subject(work.policy, token.subject)
        yield Holding(HoldingKind.TOKEN, f"{token.subject}: {token.name}", "maker", team)
    for machine in await _machines(work, subject):
        name = f"{subject_of(machine)}: {machine.name}"
        yield Holding(HoldingKind.MACHINE, name, "maker", machine.team)
    for each in await _runs(work, subject):
        yield each
    for each in await _tasks(work, subject):
        yield each


async def _entries(work: Work, subject: str) -> Sequence[Row[Any]]:
    scheduled = exists().where(_SCHEDULES.c.entry_id == ENTRIES.c.id, _SCHEDULES.c.enabled)
    found = await work.session.execute(
        select(ENTRIES, scheduled.label("scheduled"))
        .where(or_(ENTRIES.c.process_owner == subject, ENTRIES.c.deputy == subject))
        .order_by(ENTRIES.c.namespace, ENTRIES.c.name)
        .limit(MAX_OF_A_KIND)
    )
    return found.all()


async def _drafts(work: Work, subject: str) -> Sequence[Row[Any]]:
    found: Result[Any] = await work.session.execute(
        select(ENTRIES.c.namespace, ENTRIES.c.name, VERSIONS.c.version, VERSIONS.c.team)
        .join(ENTRIES, ENTRIES.c.id == VERSIONS.c.entry_id)
        .where(
            VERSIONS.c.created_by == subject,
            VERSIONS.c.lifecycle.in_((Lifecycle.DRAFT, Lifecycle.IN_REVIEW)),
        )
        .order_by(ENTRIES.c.namespace, ENTRIES.c.name, VERSIONS.c.version)
        .limit(MAX_OF_A_KIND)
    )
    return found.all()


async def _tokens(work: Work, subject: str) -> Sequence[AccessToken]:
    found = await work.session.scalars(
        select(AccessToken)
        .where(
            col(AccessToken.created_by) == subject,
            col(AccessToken.subject) != subject,
            col(AccessToken.revoked_at).is_(None),
            col(AccessToken.expires_at) > work.now,
        )
        .order_by(col(AccessToken.subject), col(AccessToken.name))
        .limit(MAX_OF_A_KIND)
    )
    return found.all()


async def _machines(work: Work, subject: str) -> list[MachineRow]:
    found: list[MachineRow] = []
    for model, maker in (
        (WorkerKey, col(WorkerKey.enrolled_by)),
        (MachineClient, col(MachineClient.created_by)),
        (TrustRule, col(TrustRule.created_by)),
    ):
        rows: Any = await work.session.scalars(
            select(model)
            .where(
                maker == subject, col(model.revoked_at).is_(None), col(model.expires_at) > work.now
            )
            .order_by(col(model.id))
            .limit(MAX_OF_A_KIND)
        )
        found += rows
    return found


async def _runs(work: Work, subject: str) -> Iterator[Holding]:
    rows = await work.session.execute(
        select(RUNS.c.id, RUNS.c.team)
        .where(RUNS.c.requester == subject, RUNS.c.state.not_in(ENDED))
        .order_by(RUNS.c.id)
        .limit(MAX_OF_A_KIND)
    )
    return (Holding(HoldingKind.RUN, str(row.id), "requester", row.team) for row in rows)


async def _tasks(work: Work, subject: str) -> Iterator[Holding]:
    rows = await work.session.execute(
        select(TASKS.c.id, TASKS.c.team)
        .where(TASKS.c.assignee == subject, TASKS.c.state.in_(OPEN_TASK_STATES))
        .order_by(TASKS.c.id)
        .limit(MAX_OF_A_KIND)
    )
    return (Holding(HoldingKind.TASK, str(row.id), "claimant", row.team) for row in rows)
