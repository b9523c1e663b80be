"""What an actor may read of runs and human tasks, as predicates: every query starts from one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Text,
    and_,
    any_,
    cast,
    exists,
    false,
    func,
    literal,
    not_,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY

from coe.access.permissions import Permission
from coe.access.persons import AGAINST_PREFIX, acted, relation
from coe.access.policy_lines import Relation
from coe.catalog.owners import OWNER_CODES
from coe.catalog.scope import Readers
from coe.catalog.tables import ENTRIES, VERSIONS
from coe.identifiers import EVERY_TEAM, qualified_role
from coe.language.functions import APPROVERS, REQUESTER
from coe.runs.row_codes import RUN_CODES, TASK_CODES
from coe.runs.tables import APPROVALS, RUNS, TASKS
from coe.runs.task_models import OPEN_TASK_STATES
from coe.work import Read

_PARENTS: Final = RUNS.alias("parents")
_OTHERS: Final = TASKS.alias("others")


def readable_runs(
    read: Read,
    permission: Permission = Permission.RUN_READ,
) -> ColumnElement[bool]:
    """Runs of the actor's scope, those to which it has a relation, those that such a run called."""
    return _readable(read, permission, RUNS, run_readers(read, permission))


def run_readers(read: Read, permission: Permission = Permission.RUN_READ) -> Readers:
    """The relations by which the actor may read a run; one is enough (`read_decision`)."""
    called = exists().where(_PARENTS.c.id == RUNS.c.parent_id, _runs(read, permission, _PARENTS))
    return {**_run_readers(read, RUNS), Relation.CALLER: called}


def readable_tasks(read: Read) -> ColumnElement[bool]:
    """Tasks of the actor's scope, and those to which it has a relation."""
    return _readable(read, Permission.HUMAN_TASK_READ, TASKS, task_readers(read))


def task_readers(read: Read) -> Readers:
    """The relations by which the actor may read a human task; one is enough."""
    subject = read.actor.subject
    return {
        Relation.CANDIDATE: is_candidate(read),
        Relation.CLAIMANT: TASKS.c.assignee == subject,
        Relation.REQUESTER: TASKS.c.requester == subject,
        Relation.OWNER: _owned_task(read),
    }


def is_candidate(read: Read) -> ColumnElement[bool]:
    """Tasks that name a role of the actor: in its team, or in every team."""
    held = sorted(read.policy.roles(read.actor.subject))
    if not held:
        return false()
    named = {f"{place}/{role}" for role, team in held for place in (team, EVERY_TEAM)}
    unqualified = [and_(TASKS.c.team == team, _asks([role])) for role, team in held]
    return or_(_asks(sorted(named)), *unqualified)


def claimable_tasks(read: Read) -> ColumnElement[bool]:
    """Tasks that the actor is a candidate for, and may claim whatever else it is to them."""

    def allowed(*others: Relation) -> ColumnElement[bool]:
        against = (AGAINST_PREFIX + other for other in others)
        return _within(read, Permission.HUMAN_TASK_CLAIM, TASKS, Relation.CANDIDATE, *against)

    others = {
        Relation.APPROVER: _has_approved_as_one(read),
        Relation.EXCLUDED: _is_excluded(read),
        Relation.REQUESTER: _requested(read),
    }
    denied = (or_(not_(holds), allowed(relation)) for relation, holds in others.items())
    return and_(is_candidate(read), allowed(), *denied)


def _asks(roles: list[str]) -> ColumnElement[bool]:
    return TASKS.c.candidate_roles.bool_op("&&")(cast(roles, ARRAY(Text)))


def qualified_roles(task: Any) -> list[str]:
    """The candidate roles of a task, each with its team."""
    return [qualified_role(role, task.team) for role in task.candidate_roles]


def _is_excluded(read: Read) -> ColumnElement[bool]:
    """Tasks that their definition excludes the actor from, or who counts as one with it."""
    return or_(
        TASKS.c.exclude.bool_op("&&")(cast(sorted(read.actor.persons), ARRAY(Text))),
        and_(literal(REQUESTER) == any_(TASKS.c.exclude), _requested(read)),
        and_(literal(APPROVERS) == any_(TASKS.c.exclude), _has_answered_another(read)),
    )


def _requested(read: Read) -> ColumnElement[bool]:
    """Tasks of runs that the actor started, or who counts as one with it."""
    return acted(read.actor, TASKS.c.requester, TASKS.c.requester_persons)


def _approvals_by(read: Read) -> ColumnElement[bool]:
    """Answers of the actor, or of who counts as one with it."""
    return acted(read.actor, APPROVALS.c.by, APPROVALS.c.persons)


def _has_approved(read: Read) -> ColumnElement[bool]:
    """Open tasks to which the actor has given one of the approvals that count."""
    return _has_given(APPROVALS.c.by == read.actor.subject)


def _has_approved_as_one(read: Read) -> ColumnElement[bool]:
    """Open tasks to which the actor has given one, or who counts as one with it."""
    return _has_given(_approvals_by(read))


def _has_given(mine: ColumnElement[bool]) -> ColumnElement[bool]:
    counts = and_(mine, APPROVALS.c.voided_at.is_(None))
    given = exists().where(APPROVALS.c.task_id == TASKS.c.id, counts)
    return and_(TASKS.c.state.in_(OPEN_TASK_STATES), given)


def _has_answered_another(read: Read) -> ColumnElement[bool]:
    """Tasks of a process in which the actor, or who counts as one with it, answered another task.

    The process is the run, the runs that it called, and those from which it was called. A task that
    is asked again is not another task.
    """
    root = process_of(TASKS)
    return exists().where(
        APPROVALS.c.task_id == _OTHERS.c.id,
        _approvals_by(read),
        or_(_OTHERS.c.run_id == root, _OTHERS.c.root_run_id == root),
        _OTHERS.c.id != TASKS.c.id,
        _question(_OTHERS) != _question(TASKS),
    )


def process_of(tasks: FromClause) -> ColumnElement[UUID]:
    """The run at the root of the calls that led to a task."""
    return func.coalesce(tasks.c.root_run_id, tasks.c.run_id)


def _question(tasks: FromClause) -> ColumnElement[str]:
    return func.coalesce(tasks.c.question, tasks.c.path)


def _owned_task(read: Read) -> ColumnElement[bool]:
    """Tasks of runs of flows whose process owner or deputy is the actor."""
    return TASKS.c.run_id.in_(select(RUNS.c.id).where(is_owner(read, RUNS)))


def is_owner(read: Read, runs: FromClause) -> ColumnElement[bool]:
    """Runs of flows whose process owner or deputy is the actor."""
    subject = read.actor.subject
    owned = (
        select(VERSIONS.c.id)
        .join(ENTRIES, ENTRIES.c.id == VERSIONS.c.entry_id)
        .where(or_(ENTRIES.c.process_owner == subject, ENTRIES.c.deputy == subject))
    )
    return runs.c.version_id.in_(owned)


def owned(read: Read) -> ColumnElement[Any]:
    """The column `owned` of a run, for `run_relations`: its entry, if that is the actor's."""
    return _owned_entry(read, RUNS.c.version_id).label("owned")


def _owned_entry(read: Read, version_id: ColumnElement[Any]) -> ColumnElement[Any]:
    subject = read.actor.subject
    parts: list[tuple[str, ColumnElement[Any]]] = [
        (name, ENTRIES.c[name]) for name in OWNER_CODES.columns
    ]
    parts.append(("code", func.encode(ENTRIES.c.code, "hex")))
    row = func.jsonb_build_object(*(each for name, column in parts for each in (name, column)))
    return (
        select(row)
        .join(VERSIONS, VERSIONS.c.entry_id == ENTRIES.c.id)
        .where(
            VERSIONS.c.id == version_id,
            or_(ENTRIES.c.process_owner == subject, ENTRIES.c.deputy == subject),
        )
        .scalar_subquery()
    )


def _owns(read: Read, owned: dict[str, str | None] | None) -> bool:
    """Whether the actor owns the entry of this row.

    Raises:
        ChangedInDatabase: Somebody changed who owns it in the database.
    """
    if owned is None:
        return False
    code = bytes.fromhex(owned["code"] or "")
    OWNER_CODES.require(read.keyring.macs, SimpleNamespace(**{**owned, "code": code}))
    return True


def held(read: Read) -> ColumnElement[bool]:
    """The column `held` of a run, for `run_relations`."""
    return _is_held(read, RUNS).label("held")


def _is_held(read: Read, runs: FromClause) -> ColumnElement[bool]:
    """Local runs that the actor was the last to claim."""
    return func.coalesce(runs.c.claimed_by == read.actor.identity, false())


def run_relations(read: Read, run: Any) -> frozenset[str]:
    """The actor's relations to a run.

    Its row has the columns under its code (`coe.runs.row_codes`), of which `id` may be called
    `run`, and `owned` and `held`.

    Raises:
        ChangedInDatabase: Somebody changed who asked for it in the database.
    """
    RUN_CODES.require(read.keyring.macs, run, id=getattr(run, "run", None) or run.id)
    requested = relation(read.actor, Relation.REQUESTER, run.requester, run.requester_persons)
    relations = {Relation.OWNER: _owns(read, run.owned), Relation.HOLDER: run.held}
    return frozenset(requested) | {name.value for name, holds in relations.items() if holds}


def relation_columns(read: Read) -> tuple[ColumnElement[Any], ...]:
    """The columns of a human task beside its own that `task_relations` needs."""
    of_run = select(RUNS.c.version_id).where(RUNS.c.id == TASKS.c.run_id)
    version = of_run.correlate(TASKS).scalar_subquery()
    return (
        _has_approved(read).label("approved"),
        _has_approved_as_one(read).label("approved_as_one"),
        _is_excluded(read).label("excluded"),
        _owned_entry(read, version).label("owned"),
    )


def task_relations(read: Read, task: Any) -> frozenset[str]:
    """The actor's relations to a human task, from its row with the `relation_columns`.

    Raises:
        ChangedInDatabase: Somebody changed who asked, or who may not answer, in the database.
    """
    TASK_CODES.require(read.keyring.macs, task)
    subject = read.actor.subject
    relations = {
        Relation.APPROVER: task.approved,
        AGAINST_PREFIX + Relation.APPROVER: task.approved_as_one,
        Relation.CANDIDATE: any(read.policy.holds(subject, role) for role in qualified_roles(task)),
        Relation.CLAIMANT: task.assignee == subject,
        Relation.EXCLUDED: task.excluded,
        Relation.OWNER: _owns(read, task.owned),
    }
    requested = relation(read.actor, Relation.REQUESTER, task.requester, task.requester_persons)
    return frozenset(str(name) for name, holds in relations.items() if holds) | requested


def _runs(read: Read, permission: Permission, runs: FromClause) -> ColumnElement[bool]:
    return _readable(read, permission, runs, _run_readers(read, runs))


def _run_readers(read: Read, runs: FromClause) -> Readers:
    subject = read.actor.subject
    mine = or_(is_candidate(read), TASKS.c.assignee == subject)
    return {
        Relation.REQUESTER: runs.c.requester == subject,
        Relation.OWNER: is_owner(read, runs),
        Relation.CANDIDATE: exists().where(TASKS.c.run_id == runs.c.id, mine),
        Relation.HOLDER: _is_held(read, runs),
    }


def _readable(
    read: Read, permission: Permission, table: FromClause, readers: Readers
) -> ColumnElement[bool]:
    related = (
        and_(holds, _within(read, permission, table, relation))
        for relation, holds in readers.items()
    )
    return or_(_within(read, permission, table), *related)


def _within(
    read: Read,
    permission: Permission,
    table: FromClause,
    *relations: str,
) -> ColumnElement[bool]:
    scope = read.policy.scope(read.actor, permission, relations=relations)
    return scope.clause(table.c.team, table.c.data_class)
