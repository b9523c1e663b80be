"""The standards about calls: timeouts, errors, retries, encryption, credentials, versions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from coe.language.expression_syntax import is_expression
from coe.language.lint.context import LintContext
from coe.language.lint.standard_findings import StandardFinding
from coe.language.lint.standards import Standard
from coe.language.model.authentication import (
    BasicAuthentication,
    BearerAuthentication,
    OAuth2Client,
    OidcAuthentication,
)
from coe.language.model.calls import CallFunction, CallHttp, CallOpenApi
from coe.language.model.components import RetryPolicy
from coe.language.model.task import Task
from coe.language.model.task_types import RunTask, TryTask
from coe.language.source import point

_CREDENTIAL_HEADERS: Final = frozenset(
    ("authorization", "proxy-authorization", "x-api-key", "cookie")
)


def check_call_timeout(context: LintContext, _: Standard) -> Iterator[StandardFinding]:
    """COE020: a call without a timeout on it or around it."""
    for task in context.tasks:
        if not isinstance(task, CallHttp | CallOpenApi) or task.timeout is not None:
            continue
        around = (scope.owner for scope in context.ancestors(task))
        if not any(owner is not None and owner.timeout is not None for owner in around):
            help = "give it `timeout: {after: PT10S}`, or a name of `use.timeouts`"
            message = f"the call `{task.name}` has no time limit"
            yield StandardFinding(message, task.pointer, help)


def check_error_handling(context: LintContext, _: Standard) -> Iterator[StandardFinding]:
    """COE021: a call outside of a `try`."""
    for task in context.tasks:
        if _remote(task) and not any(
            isinstance(scope.owner, TryTask) and scope.part == "/try"
            for scope in context.ancestors(task)
        ):
            message = f"no `catch` handles an error of `{task.name}`"
            yield StandardFinding(
                message, task.pointer, "put it into the `try` of a task with a `catch`"
            )


def check_retry_limit(context: LintContext, _: Standard) -> Iterator[StandardFinding]:
    """COE022: retries without a limit."""
    for place, policy in context.parts(RetryPolicy):
        limit = policy.limit
        bounded = limit and (limit.duration or (limit.attempt and limit.attempt.count is not None))
        if not bounded:
            help = "give it `limit: {attempt: {count: 3}}` or `limit: {duration: PT5M}`"
            yield StandardFinding("these retries never end", place, help)


def check_https(context: LintContext, _: Standard) -> Iterator[StandardFinding]:
    """COE023: a call over unencrypted HTTP."""
    for task in context.tasks:
        if isinstance(task, CallHttp) and task.with_.endpoint.uri.startswith("http://"):
            place = f"{task.pointer}/with/endpoint"
            yield StandardFinding("the call uses unencrypted HTTP: use https", place, value=True)


def check_credentials(context: LintContext, _: Standard) -> Iterator[StandardFinding]:
    """COE024: a credential in plain text."""
    kinds: tuple[tuple[type[Any], tuple[str, ...]], ...] = (
        (BasicAuthentication, ("password",)),
        (BearerAuthentication, ("token",)),
        (OAuth2Client, ("secret", "assertion")),
        (OidcAuthentication, ("password",)),
    )
    help = "declare a secret under `use.secrets`, and refer to it by `use` or `${ $secrets.… }`"
    for kind, fields in kinds:
        for place, part in context.parts(kind):
            for field in fields:
                value = getattr(part, field)
                if value is not None and not is_expression(value):
                    message = f"`{field}` contains a credential in plain text"
                    yield StandardFinding(message, f"{place}/{field}", help, value=True)
    for task in context.tasks:
        headers = task.with_.headers if isinstance(task, CallHttp) else None
        for name, value in headers.items() if isinstance(headers, dict) else ():
            if name.lower() in _CREDENTIAL_HEADERS and not is_expression(value):
                where = f"{task.pointer}/with/headers{point(name)}"
                message = f"the header `{name}` contains a credential in plain text"
                yield StandardFinding(message, where, help, value=True)


def check_pinned(context: LintContext, _: Standard) -> Iterator[StandardFinding]:
    """COE025: a call of a flow without a version."""
    for task in context.tasks:
        if isinstance(task, CallFunction) and task.function.name == "localFlow":
            ref = task.with_.get("ref")
            if isinstance(ref, str) and "${" not in ref and "@" not in ref:
                help = f"select versions that it is compatible with, such as `{ref}@^1`"
                message = f"`{ref}` calls whichever version is live"
                yield StandardFinding(message, f"{task.pointer}/with/ref", help, value=True)


def _remote(task: Task) -> bool:
    """Whether a task depends on a system outside the run."""
    if isinstance(task, CallFunction):
        return task.function.name == "localFlow"
    return isinstance(task, CallHttp | CallOpenApi | RunTask)
