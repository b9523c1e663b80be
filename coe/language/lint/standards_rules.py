"""The rules of the centre's standards (COE…), one function each.

A new rule is a function here, its line in `RULES`, its entry in policies/standards.yaml, and a
passing and a failing example in tests/language.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from coe.errors import Problem
from coe.language.expression_syntax import is_expression
from coe.language.lint.context import LintContext
from coe.language.lint.standards import Standard
from coe.language.model.calls import CallFunction, CallHttp, CallOpenApi
from coe.language.model.components import (
    BasicAuthentication,
    BearerAuthentication,
    OAuth2Client,
    OidcAuthentication,
    RetryPolicy,
)
from coe.language.model.task import Task
from coe.language.model.task_types import ForkTask, RunTask, TryTask
from coe.language.source import point

# The classes of data that access and catalog have.
DATA_CLASSES: Final = ("PUBLIC", "INTERNAL", "CONFIDENTIAL", "PERSONAL")
_CREDENTIAL_HEADERS: Final = frozenset(
    ("authorization", "proxy-authorization", "x-api-key", "cookie")
)


class StandardFinding(NamedTuple):
    """A finding of a rule, and its pointer."""

    message: str
    pointer: str
    help: str | None = None
    value: bool = False


StandardRule = Callable[[LintContext, Standard], Iterator[StandardFinding]]

# Standards that are checked elsewhere: the number of approvals at the review, the coverage of tests
# by `coe flow test`.
ELSEWHERE: Final = frozenset(("COE050", "COE060"))


def check_standards(context: LintContext) -> Iterator[Problem]:
    """The findings of every standard in force, with its severity."""
    for code, standard in context.standards.standards.items():
        if code in ELSEWHERE:
            continue
        for found in STANDARD_RULES.get(code, _unknown)(context, standard):
            yield context.problem(
                code,
                found.message,
                found.pointer,
                severity=standard.severity,
                value=found.value,
                help=found.help or standard.why,
            )


def _unknown(_: LintContext, standard: Standard) -> Iterator[StandardFinding]:
    message = f"the standard `{standard.title}` has no rule, so it is not checked"
    yield StandardFinding(message, "/document", "correct its code in policies/standards.yaml")


# ---------------------------------------------------------------- metadata
def _title(context: LintContext, _: Standard) -> Iterator[StandardFinding]:
    if not (context.definition.document.title or "").strip():
        yield StandardFinding("the flow has no title", "/document", "give `document.title`")


def _summary(context: LintContext, _: Standard) -> Iterator[StandardFinding]:
    if not (context.definition.document.summary or "").strip():
        yield StandardFinding("the flow has no summary", "/document", "give `document.summary`")


def _process_owner(context: LintContext, _: Standard) -> Iterator[StandardFinding]:
    yield from _metadata(context, "processOwner", "the flow names no process owner")


def _domain(context: LintContext, _: Standard) -> Iterator[StandardFinding]:
    yield from _metadata(context, "domain", "the flow names no business domain")


def _data_class(context: LintContext, _: Standard) -> Iterator[StandardFinding]:
    value = context.definition.document.metadata.get("dataClass")
    wanted = "one of " + ", ".join(DATA_CLASSES)
    if value is None:
        help = f"give `document.metadata.dataClass`, {wanted}"
        yield StandardFinding("the flow names no class of data", "/document", help)
    elif value not in DATA_CLASSES:
        place = "/document/metadata/dataClass"
        yield StandardFinding(f"the class of data must be {wanted}", place, value=True)


def _systems(context: LintContext, _: Standard) -> Iterator[StandardFinding]:
    calls = any(isinstance(task, CallHttp | CallOpenApi) for task in context.tasks)
    if calls:
        yield from _metadata(context, "systems", "the flow calls systems and names none")


def _metadata(context: LintContext, key: str, message: str) -> Iterator[StandardFinding]:
    if not context.definition.document.metadata.get(key):
        yield StandardFinding(message, "/document", f"give `document.metadata.{key}`")


# ---------------------------------------------------------------- input and output
def _input_schema(context: LintContext, _: Standard) -> Iterator[StandardFinding]:
    if _schema(context) is None:
        help = "give `input.schema.document`, a JSON Schema"
        yield StandardFinding("the flow has no schema of its input", "/document", help)


def _input_examples(context: LintContext, _: Standard) -> Iterator[StandardFinding]:
    schema = _schema(context)
    if schema is not None and not schema.get("examples"):
        help = "give `examples`, one for each path through the flow"
        yield StandardFinding("the input's schema has no examples", "/input/schema/document", help)


def _output_schema(context: LintContext, _: Standard) -> Iterator[StandardFinding]:
    output = context.definition.output
    if output is None or output.schema_ is None:
        help = "give `output.schema.document`, a JSON Schema"
        yield StandardFinding("the flow has no schema of its output", "/document", help)


def _personal_data(context: LintContext, standard: Standard) -> Iterator[StandardFinding]:
    if context.definition.document.metadata.get("dataClass") in ("PERSONAL", None):
        return
    names = {_plain(name) for name in standard.texts("names")}
    for place, name, schema in _properties(_schema(context) or {}, "/input/schema/document"):
        marked = isinstance(schema, dict) and schema.get("x-personal")
        if marked or _plain(name) in names:
            message = f"`{name}` looks like personal data, and the class of data is not PERSONAL"
            help = "set `document.metadata.dataClass: PERSONAL`, or mark it `x-personal: false`"
            if not (isinstance(schema, dict) and schema.get("x-personal") is False):
                yield StandardFinding(message, place, help)


def _schema(context: LintContext) -> dict[str, Any] | None:
    """The schema of the flow's input, if it is an object in the document."""
    given = context.definition.input
    document = given.schema_.document if given and given.schema_ else None
    return document if isinstance(document, dict) else None


def _properties(schema: Any, place: str) -> Iterator[tuple[str, str, Any]]:
    """Every property of a schema with its pointer, at any depth."""
    if not isinstance(schema, dict):
        return
    properties = schema.get("properties")
    for name, inner in properties.items() if isinstance(properties, dict) else ():
        where = place + point("properties", name)
        yield where, name, inner
        yield from _properties(inner, where)
    for key in ("items", "additionalProperties"):
        yield from _properties(schema.get(key), f"{place}/{key}")


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


# ---------------------------------------------------------------- calls
def _call_timeout(context: LintContext, _: Standard) -> Iterator[StandardFinding]:
    for task in context.tasks:
        if not isinstance(task, CallHttp | CallOpenApi) or task.timeout is not None:
            continue
        around = (scope.owner for scope in context.ancestors(task))
        if not any(owner is not None and owner.timeout is not None for owner in around):
            help = "give it `timeout: {after: PT10S}`, or a name of `use.timeouts`"
            message = f"the call `{task.name}` has no time limit"
            yield StandardFinding(message, task.pointer, help)


def _error_handling(context: LintContext, _: Standard) -> Iterator[StandardFinding]:
    for task in context.tasks:
        if _remote(task) and not any(
            isinstance(scope.owner, TryTask) and scope.part == "/try"
            for scope in context.ancestors(task)
        ):
            message = f"no `catch` handles an error of `{task.name}`"
            yield StandardFinding(
                message, task.pointer, "put it into the `try` of a task with a `catch`"
            )


def _retry_limit(context: LintContext, _: Standard) -> Iterator[StandardFinding]:
    for place, policy in context.parts(RetryPolicy):
        limit = policy.limit
        bounded = limit and (limit.duration or (limit.attempt and limit.attempt.count is not None))
        if not bounded:
            help = "give it `limit: {attempt: {count: 3}}` or `limit: {duration: PT5M}`"
            yield StandardFinding("these retries never end", place, help)


def _https(context: LintContext, _: Standard) -> Iterator[StandardFinding]:
    for task in context.tasks:
        if isinstance(task, CallHttp) and task.with_.endpoint.uri.startswith("http://"):
            place = f"{task.pointer}/with/endpoint"
            yield StandardFinding("the call uses unencrypted HTTP: use https", place, value=True)


def _credentials(context: LintContext, _: Standard) -> Iterator[StandardFinding]:
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


def _pinned(context: LintContext, _: Standard) -> Iterator[StandardFinding]:
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


# ---------------------------------------------------------------- people
def _due(context: LintContext, _: Standard) -> Iterator[StandardFinding]:
    for task in _human_tasks(context):
        if "dueIn" not in task.with_ and not task.with_.get("escalate"):
            help = "give it `dueIn` and an `escalate` chain"
            yield StandardFinding(f"the human task `{task.name}` never expires", task.pointer, help)


def _four_eyes(context: LintContext, standard: Standard) -> Iterator[StandardFinding]:
    deciding = {_plain(outcome) for outcome in standard.texts("outcomes")}
    for task in _human_tasks(context):
        outcomes = task.with_.get("outcomes")
        decides = isinstance(outcomes, list) and any(
            isinstance(outcome, str) and _plain(outcome) in deciding for outcome in outcomes
        )
        if decides and "exclude" not in task.with_:
            help = "give it `exclude: [requester]`"
            message = f"the requester may decide `{task.name}` too"
            yield StandardFinding(message, task.pointer, help)


def _human_tasks(context: LintContext) -> Iterator[CallFunction]:
    for task in context.tasks:
        if isinstance(task, CallFunction) and task.function.name == "humanTask":
            yield task


# ---------------------------------------------------------------- style
def _names(context: LintContext, standard: Standard) -> Iterator[StandardFinding]:
    pattern = str(standard.options.get("pattern", ".*"))
    for task in context.tasks:
        if not re.fullmatch(pattern, task.name):
            message = f"the task's name `{task.name}` does not match {pattern}"
            yield StandardFinding(message, task.pointer)


def _size(context: LintContext, standard: Standard) -> Iterator[StandardFinding]:
    most = int(str(standard.options.get("most", 0)))
    for scope in context.scopes:
        if len(scope.tasks) > most and not isinstance(scope.owner, ForkTask):
            message = f"{len(scope.tasks)} tasks in one scope; at most {most} are allowed"
            yield StandardFinding(
                message, scope.pointer, "group them, or move some to another flow"
            )


STANDARD_RULES: Final[Mapping[str, StandardRule]] = {
    "COE001": _title,
    "COE002": _summary,
    "COE003": _process_owner,
    "COE004": _data_class,
    "COE005": _domain,
    "COE006": _systems,
    "COE010": _input_schema,
    "COE011": _input_examples,
    "COE012": _output_schema,
    "COE013": _personal_data,
    "COE020": _call_timeout,
    "COE021": _error_handling,
    "COE022": _retry_limit,
    "COE023": _https,
    "COE024": _credentials,
    "COE025": _pinned,
    "COE030": _due,
    "COE031": _four_eyes,
    "COE040": _names,
    "COE041": _size,
}
