"""A rule about retries: what their limits do not limit."""

from __future__ import annotations

from collections.abc import Iterator

from coe.errors import Problem, Severity
from coe.language.branches.duration_bounds import list_bound, retry_of
from coe.language.lint.context import LintContext
from coe.language.model.task_types import TryTask


def check_retries(context: LintContext) -> Iterator[Problem]:
    """OWS025: a limit for each retry, where nothing limits the first execution."""
    definition = context.definition
    for task in context.tasks:
        if not isinstance(task, TryTask):
            continue
        policy = retry_of(definition, task)
        attempt = policy.limit.attempt if policy and policy.limit else None
        if attempt is None or attempt.duration is None:
            continue
        owners = [scope.owner for scope in context.ancestors(task) if scope.owner is not None]
        limits = [each.timeout for each in (task, *owners)] + [definition.timeout]
        if any(limit is not None for limit in limits):
            continue
        each_limited = all(inner.timeout is not None for inner in task.try_)
        if not each_limited and list_bound(definition, task.try_) is None:
            message = "`limit.attempt.duration` limits each retry, not the first execution"
            yield context.problem(
                "OWS025",
                message,
                f"{task.pointer}/catch/retry",
                severity=Severity.INFO,
                help="give what is tried a `timeout`, which limits each execution",
            )
