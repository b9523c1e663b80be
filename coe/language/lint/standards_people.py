"""The rules of the centre's standards about human tasks."""

from __future__ import annotations

from collections.abc import Iterator

from coe.identifiers import EVERY_TEAM
from coe.language.expression_syntax import is_expression
from coe.language.functions import APPROVERS, excluded_by
from coe.language.lint.context import LintContext
from coe.language.lint.standard_findings import StandardFinding
from coe.language.lint.standards import Standard
from coe.language.model.calls import CallFunction


def check_due(context: LintContext, _: Standard) -> Iterator[StandardFinding]:
    """COE030: a human task has a due time or an escalation."""
    for task in _human_tasks(context):
        if "dueIn" not in task.with_ and not task.with_.get("escalate"):
            help = "give it `dueIn` and an `escalate` chain"
            yield StandardFinding(f"the human task `{task.name}` never expires", task.pointer, help)


def check_four_eyes(context: LintContext, standard: Standard) -> Iterator[StandardFinding]:
    """COE031: a task that decides says who may not."""
    for task in _deciding_tasks(context, standard):
        if "exclude" not in task.with_:
            help = "give it `exclude: [requester, approvers]`"
            message = f"the requester may decide `{task.name}` too"
            yield StandardFinding(message, task.pointer, help)


def check_teams(context: LintContext, _: Standard) -> Iterator[StandardFinding]:
    """COE032: a role of every team is not asked."""
    for task in _human_tasks(context):
        for place, role in asked_roles(task):
            team, slash, name = role.partition("/")
            if slash and team == EVERY_TEAM:
                message = f"`{task.name}` asks the `{name}` of every team, and shows them its data"
                help = f"`{name}` is that of the flow's own team, `finance/{name}` that of another"
                yield StandardFinding(message, place, help, value=True)


def check_one_decision_each(context: LintContext, standard: Standard) -> Iterator[StandardFinding]:
    """COE033: a decision after one of other people excludes whoever made that one."""
    before: list[frozenset[str]] = []
    for task in _deciding_tasks(context, standard):
        roles = frozenset(role for _, role in asked_roles(task))
        excluded = excluded_by(task.with_)
        handled = APPROVERS in excluded or any(map(is_expression, excluded))
        if not handled and any(others != roles for others in before):
            message = f"whoever decided before may decide `{task.name}` too"
            yield StandardFinding(message, task.pointer, "add `approvers` to its `exclude`")
        before.append(roles)


def asked_roles(task: CallFunction) -> Iterator[tuple[str, str]]:
    """The roles that a human task asks first or later, without the computed, and their pointers."""
    candidates, chain = task.with_.get("candidates"), task.with_.get("escalate")
    roles = candidates.get("roles") if isinstance(candidates, dict) else None
    for index, role in enumerate(roles if isinstance(roles, list) else []):
        if isinstance(role, str) and not is_expression(role):
            yield f"{task.pointer}/with/candidates/roles/{index}", role
    for index, stage in enumerate(chain if isinstance(chain, list) else []):
        role = stage.get("to") if isinstance(stage, dict) else None
        if isinstance(role, str) and not is_expression(role):
            yield f"{task.pointer}/with/escalate/{index}/to", role


def _deciding_tasks(context: LintContext, standard: Standard) -> Iterator[CallFunction]:
    """The tasks with an outcome that approves something."""
    deciding = {_plain(outcome) for outcome in standard.texts("outcomes")}
    for task in _human_tasks(context):
        outcomes = task.with_.get("outcomes")
        given = outcomes if isinstance(outcomes, list) else []
        if any(isinstance(outcome, str) and _plain(outcome) in deciding for outcome in given):
            yield task


def _plain(outcome: str) -> str:
    return "".join(each for each in outcome.lower() if each.isalnum())


def _human_tasks(context: LintContext) -> Iterator[CallFunction]:
    for task in context.tasks:
        if isinstance(task, CallFunction) and task.function.name == "humanTask":
            yield task
