"""What an actor may read of runs and human tasks, as predicates: every query starts from one."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import ColumnElement, FromClause, Text, and_, cast, exists, false, or_, select
from sqlalchemy.dialects.postgresql import ARRAY

from coe.access.permissions import Permission
from coe.access.policy import Policy
from coe.access.policy_lines import Relation
from coe.catalog.tables import ENTRIES, VERSIONS
from coe.runs.tables import RUNS, TASKS
from coe.work import Read

REQUESTER: Final = "requester"
"""In a task's `exclude`: the requester of the run."""

_PARENTS: Final = RUNS.alias("parents")


def roles_of(policy: Policy, subject: str) -> list[str]:
    """The values of `candidate_roles` that make the subject a candidate: "role" and "team/role"."""
    held = policy.roles(subject)
    return sorted({role for role, _ in held} | {f"{team}/{role}" for role, team in held})


def readable_runs(
    read: Read,
    permission: Permission = Permission.RUN_READ,
) -> ColumnElement[bool]:
    """Runs of the actor's scope, those to which it has a relation, those that such a run called."""
    called = exists().where(_PARENTS.c.id == RUNS.c.parent_id, _runs(read, permission, _PARENTS))
    return or_(
        _runs(read, permission, RUNS),
        and_(called, _within(read, permission, RUNS, Relation.CALLER)),
    )


def readable_tasks(
    read: Read,
    permission: Permission = Permission.HUMAN_TASK_READ,
) -> ColumnElement[bool]:
    """Tasks of the actor's scope, and those to which it has a relation."""
    subject = read.actor.subject
    of_owned = TASKS.c.run_id.in_(select(RUNS.c.id).where(is_owner(read, RUNS)))
    return or_(
        _within(read, permission, TASKS),
        and_(is_candidate(read), _within(read, permission, TASKS, Relation.CANDIDATE)),
        and_(TASKS.c.assignee == subject, _within(read, permission, TASKS, Relation.CLAIMANT)),
        and_(TASKS.c.requester == subject, _within(read, permission, TASKS, Relation.REQUESTER)),
        and_(of_owned, _within(read, permission, TASKS, Relation.OWNER)),
    )


def is_candidate(read: Read) -> ColumnElement[bool]:
    """Tasks that name a role of the actor."""
    roles = roles_of(read.policy, read.actor.subject)
    if not roles:
        return false()
    return TASKS.c.candidate_roles.op("&&")(cast(roles, ARRAY(Text)))


def is_owner(read: Read, runs: FromClause) -> ColumnElement[bool]:
    """Runs of flows whose process owner or deputy is the actor."""
    subject = read.actor.subject
    owned = (
        select(VERSIONS.c.id)
        .join(ENTRIES, ENTRIES.c.id == VERSIONS.c.entry_id)
        .where(or_(ENTRIES.c.process_owner == subject, ENTRIES.c.deputy == subject))
    )
    return runs.c.version_id.in_(owned)


def owned(read: Read) -> ColumnElement[bool]:
    """The column `owned` of a run, for `run_relations`."""
    return is_owner(read, RUNS).label("owned")


def run_relations(read: Read, run: Any) -> frozenset[str]:
    """The actor's relations to a run, from a row that has `requester` and `owned`."""
    relations = {
        Relation.OWNER: run.owned,
        Relation.REQUESTER: run.requester == read.actor.subject,
    }
    return frozenset(relation.value for relation, holds in relations.items() if holds)


def task_relations(read: Read, task: Any) -> frozenset[str]:
    """The actor's relations to a human task, as far as its row shows them."""
    subject = read.actor.subject
    requested = subject == task.requester
    relations = {
        Relation.CANDIDATE: any(read.policy.holds(subject, role) for role in task.candidate_roles),
        Relation.CLAIMANT: task.assignee == subject,
        Relation.EXCLUDED: excludes(task, subject),
        Relation.REQUESTER: requested,
    }
    return frozenset(relation.value for relation, holds in relations.items() if holds)


def excludes(task: Any, subject: str) -> bool:
    """Whether the definition of a task excludes a subject from it."""
    return subject in task.exclude or (REQUESTER in task.exclude and subject == task.requester)


def _runs(read: Read, permission: Permission, runs: FromClause) -> ColumnElement[bool]:
    subject = read.actor.subject
    mine = or_(is_candidate(read), TASKS.c.assignee == subject)
    has_task = exists().where(TASKS.c.run_id == runs.c.id, mine)
    return or_(
        _within(read, permission, runs),
        and_(runs.c.requester == subject, _within(read, permission, runs, Relation.REQUESTER)),
        and_(is_owner(read, runs), _within(read, permission, runs, Relation.OWNER)),
        and_(has_task, _within(read, permission, runs, Relation.CANDIDATE)),
    )


def _within(
    read: Read,
    permission: Permission,
    table: FromClause,
    *relations: Relation,
) -> ColumnElement[bool]:
    scope = read.policy.scope(read.actor, permission, relations=relations)
    return scope.clause(table.c.team, table.c.data_class)
