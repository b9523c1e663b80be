"""What an actor may read of runs and human tasks, as predicates: every query starts from one."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import ColumnElement, FromClause, Row, Text, and_, cast, exists, false, or_
from sqlalchemy.dialects.postgresql import ARRAY

from coe.access.lines import Relation
from coe.access.permissions import Permission
from coe.access.policy import Policy
from coe.access.scope import Scope
from coe.runs.tables import RUNS, TASKS
from coe.runs.task_models import HumanTask
from coe.work import Read

REQUESTER: Final = "requester"
"""In a task's `exclude`: whoever started the run."""

_PARENTS: Final = RUNS.alias("parents")


def roles_of(policy: Policy, subject: str) -> list[str]:
    """What `candidate_roles` may say for the subject to be a candidate: "role" and "team/role"."""
    held = policy.roles(subject)
    return sorted({role for role, _ in held} | {f"{team}/{role}" for role, team in held})


def readable_runs(read: Read, permission: Permission = Permission.RUN_READ) -> ColumnElement[bool]:
    """Runs of the actor's scope, those that it started, and those that such a run called."""
    return or_(
        _own_runs(read, permission, RUNS),
        and_(
            exists().where(
                _PARENTS.c.id == RUNS.c.parent_id,
                _own_runs(read, permission, _PARENTS),
            ),
            _scope(read, permission, Relation.CALLER).clause(RUNS.c.team, RUNS.c.data_class),
        ),
    )


def readable_tasks(
    read: Read, permission: Permission = Permission.HUMAN_TASK_READ
) -> ColumnElement[bool]:
    """Tasks of the actor's scope, and those for which it is candidate, claimant or requester."""
    subject = read.actor.subject
    return or_(
        read.scope(permission).clause(TASKS.c.team, TASKS.c.data_class),
        and_(is_candidate(read), _tasks_as(read, permission, Relation.CANDIDATE)),
        and_(TASKS.c.assignee == subject, _tasks_as(read, permission, Relation.CLAIMANT)),
        and_(TASKS.c.requester == subject, _tasks_as(read, permission, Relation.REQUESTER)),
    )


def is_candidate(read: Read) -> ColumnElement[bool]:
    """Tasks that name a role of the actor."""
    roles = roles_of(read.policy, read.actor.subject)
    if not roles:
        return false()
    return TASKS.c.candidate_roles.op("&&")(cast(roles, ARRAY(Text)))


def task_relations(read: Read, task: HumanTask | Row[Any]) -> frozenset[str]:
    """What the actor is to a human task: candidate, claimant, requester, excluded."""
    subject = read.actor.subject
    named = subject in task.exclude
    requested = subject == task.requester
    relations = {
        Relation.CANDIDATE: any(read.policy.holds(subject, role) for role in task.candidate_roles),
        Relation.CLAIMANT: task.assignee == subject,
        Relation.EXCLUDED: named or (requested and REQUESTER in task.exclude),
        Relation.REQUESTER: requested,
    }
    return frozenset(relation.value for relation, holds in relations.items() if holds)


def _own_runs(read: Read, permission: Permission, runs: FromClause) -> ColumnElement[bool]:
    requested = _scope(read, permission, Relation.REQUESTER)
    return or_(
        read.scope(permission).clause(runs.c.team, runs.c.data_class),
        and_(
            runs.c.started_by == read.actor.subject,
            requested.clause(runs.c.team, runs.c.data_class),
        ),
    )


def _tasks_as(read: Read, permission: Permission, relation: Relation) -> ColumnElement[bool]:
    return _scope(read, permission, relation).clause(TASKS.c.team, TASKS.c.data_class)


def _scope(read: Read, permission: Permission, relation: Relation) -> Scope:
    return read.policy.scope(read.actor, permission, relations={relation})
