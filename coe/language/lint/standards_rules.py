"""The rules of the centre's standards (COE…), one function each.

To add one: a function here, its line in `RULES`, its entry in policies/standards.yaml, and a
passing and a failing example in tests/language.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from coe.errors import Problem
from coe.language.expression_syntax import is_expression
from coe.language.lint.context import Context
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

# The classes of data, as access and catalog know them.
DATA_CLASSES: Final = ("PUBLIC", "INTERNAL", "CONFIDENTIAL", "PERSONAL")
_CREDENTIAL_HEADERS: Final = frozenset(
    ("authorization", "proxy-authorization", "x-api-key", "cookie")
)


class Finding(NamedTuple):
    """What a rule found, and where."""

    message: str
    pointer: str
    help: str | None = None
    value: bool = False


Rule = Callable[[Context, Standard], Iterator[Finding]]

# Standards that are not found in a definition: how many must approve is counted at the review, what
# tests reach by `coe flow test`.
ELSEWHERE: Final = frozenset(("COE050", "COE060"))


def check_standards(context: Context) -> Iterator[Problem]:
    """Every standard in force, with the severity that it has there."""
    for code, standard in context.standards.standards.items():
        if code in ELSEWHERE:
            continue
        for found in RULES.get(code, _unknown)(context, standard):
            yield context.problem(
                code,
                found.message,
                found.pointer,
                severity=standard.severity,
                value=found.value,
                help=found.help or standard.why,
            )


def _unknown(_: Context, standard: Standard) -> Iterator[Finding]:
    message = f"the standard `{standard.title}` has no rule, so it is not checked"
    yield Finding(message, "/document", "mend its code in policies/standards.yaml")


# ---------------------------------------------------------------- what a flow says of itself
def _title(context: Context, _: Standard) -> Iterator[Finding]:
    if not (context.definition.document.title or "").strip():
        yield Finding("the flow has no title", "/document", "give `document.title`")


def _summary(context: Context, _: Standard) -> Iterator[Finding]:
    if not (context.definition.document.summary or "").strip():
        yield Finding("the flow has no summary", "/document", "give `document.summary`")


def _process_owner(context: Context, _: Standard) -> Iterator[Finding]:
    yield from _metadata(context, "processOwner", "nobody is named who answers for the process")


def _domain(context: Context, _: Standard) -> Iterator[Finding]:
    yield from _metadata(context, "domain", "no business domain is named")


def _data_class(context: Context, _: Standard) -> Iterator[Finding]:
    value = context.definition.document.metadata.get("dataClass")
    wanted = "one of " + ", ".join(DATA_CLASSES)
    if value is None:
        help = f"give `document.metadata.dataClass`, {wanted}"
        yield Finding("no class of data is named", "/document", help)
    elif value not in DATA_CLASSES:
        place = "/document/metadata/dataClass"
        yield Finding(f"the class of data must be {wanted}", place, value=True)


def _systems(context: Context, _: Standard) -> Iterator[Finding]:
    calls = any(isinstance(task, CallHttp | CallOpenApi) for task in context.tasks)
    if calls:
        yield from _metadata(context, "systems", "it calls systems and names none")


def _metadata(context: Context, key: str, message: str) -> Iterator[Finding]:
    if not context.definition.document.metadata.get(key):
        yield Finding(message, "/document", f"give `document.metadata.{key}`")


# ---------------------------------------------------------------- its input and output
def _input_schema(context: Context, _: Standard) -> Iterator[Finding]:
    if _schema(context) is None:
        help = "give `input.schema.document`, a JSON Schema"
        yield Finding("the flow does not say what input it takes", "/document", help)


def _input_examples(context: Context, _: Standard) -> Iterator[Finding]:
    schema = _schema(context)
    if schema is not None and not schema.get("examples"):
        help = "give `examples`, one for each path through the flow"
        yield Finding("the input's schema has no examples", "/input/schema/document", help)


def _output_schema(context: Context, _: Standard) -> Iterator[Finding]:
    output = context.definition.output
    if output is None or output.schema_ is None:
        help = "give `output.schema.document`, a JSON Schema"
        yield Finding("the flow does not say what output it gives", "/document", help)


def _personal_data(context: Context, standard: Standard) -> Iterator[Finding]:
    if context.definition.document.metadata.get("dataClass") in ("PERSONAL", None):
        return
    names = {_plain(name) for name in standard.words("names")}
    for place, name, schema in _properties(_schema(context) or {}, "/input/schema/document"):
        marked = isinstance(schema, dict) and schema.get("x-personal")
        if marked or _plain(name) in names:
            message = f"`{name}` looks like personal data, and the class of data is not PERSONAL"
            help = "set `document.metadata.dataClass: PERSONAL`, or mark it `x-personal: false`"
            if not (isinstance(schema, dict) and schema.get("x-personal") is False):
                yield Finding(message, place, help)


def _schema(context: Context) -> dict[str, Any] | None:
    """The schema of the flow's input, where it is an object that stands in the document."""
    given = context.definition.input
    document = given.schema_.document if given and given.schema_ else None
    return document if isinstance(document, dict) else None


def _properties(schema: Any, place: str) -> Iterator[tuple[str, str, Any]]:
    """Every property that a schema describes, at any depth, with its pointer."""
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
def _call_timeout(context: Context, _: Standard) -> Iterator[Finding]:
    for task in context.tasks:
        if not isinstance(task, CallHttp | CallOpenApi) or task.timeout is not None:
            continue
        around = (scope.owner for scope in context.ancestors(task))
        if not any(owner is not None and owner.timeout is not None for owner in around):
            help = "give it `timeout: {after: PT10S}`, or a name of `use.timeouts`"
            message = f"the call `{task.name}` may take for ever"
            yield Finding(message, task.pointer, help)


def _error_handling(context: Context, _: Standard) -> Iterator[Finding]:
    for task in context.tasks:
        if _remote(task) and not any(
            isinstance(scope.owner, TryTask) and scope.part == "/try"
            for scope in context.ancestors(task)
        ):
            message = f"nothing says what happens when `{task.name}` fails"
            yield Finding(message, task.pointer, "put it into the `try` of a task with a `catch`")


def _retry_limit(context: Context, _: Standard) -> Iterator[Finding]:
    for place, policy in context.parts(RetryPolicy):
        limit = policy.limit
        bounded = limit and (limit.duration or (limit.attempt and limit.attempt.count is not None))
        if not bounded:
            help = "give it `limit: {attempt: {count: 3}}` or `limit: {duration: PT5M}`"
            yield Finding("these retries never end", place, help)


def _https(context: Context, _: Standard) -> Iterator[Finding]:
    for task in context.tasks:
        if isinstance(task, CallHttp) and task.with_.endpoint.uri.startswith("http://"):
            place = f"{task.pointer}/with/endpoint"
            yield Finding("the call goes over HTTP in clear: use https", place, value=True)


def _credentials(context: Context, _: Standard) -> Iterator[Finding]:
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
                    message = f"a credential stands in clear in `{field}`"
                    yield Finding(message, f"{place}/{field}", help, value=True)
    for task in context.tasks:
        headers = task.with_.headers if isinstance(task, CallHttp) else None
        for name, value in headers.items() if isinstance(headers, dict) else ():
            if name.lower() in _CREDENTIAL_HEADERS and not is_expression(value):
                where = f"{task.pointer}/with/headers{point(name)}"
                message = f"a credential stands in clear in the header `{name}`"
                yield Finding(message, where, help, value=True)


def _pinned(context: Context, _: Standard) -> Iterator[Finding]:
    for task in context.tasks:
        if isinstance(task, CallFunction) and task.function.name == "localFlow":
            ref = task.with_.get("ref")
            if isinstance(ref, str) and "${" not in ref and "@" not in ref:
                help = f"name the versions that you can work with, such as `{ref}@^1`"
                message = f"`{ref}` takes whatever version is live"
                yield Finding(message, f"{task.pointer}/with/ref", help, value=True)


def _remote(task: Task) -> bool:
    """Whether a task depends on something outside the run."""
    if isinstance(task, CallFunction):
        return task.function.name == "localFlow"
    return isinstance(task, CallHttp | CallOpenApi | RunTask)


# ---------------------------------------------------------------- people
def _due(context: Context, _: Standard) -> Iterator[Finding]:
    for task in _human_tasks(context):
        if "dueIn" not in task.with_ and not task.with_.get("escalate"):
            help = "give it `dueIn` and an `escalate` chain"
            yield Finding(
                f"the human task `{task.name}` may stay open for ever", task.pointer, help
            )


def _four_eyes(context: Context, standard: Standard) -> Iterator[Finding]:
    deciding = {_plain(outcome) for outcome in standard.words("outcomes")}
    for task in _human_tasks(context):
        outcomes = task.with_.get("outcomes")
        decides = isinstance(outcomes, list) and any(
            isinstance(outcome, str) and _plain(outcome) in deciding for outcome in outcomes
        )
        if decides and "exclude" not in task.with_:
            help = "give it `exclude: [requester]`"
            message = f"whoever asked may decide `{task.name}` as well"
            yield Finding(message, task.pointer, help)


def _human_tasks(context: Context) -> Iterator[CallFunction]:
    for task in context.tasks:
        if isinstance(task, CallFunction) and task.function.name == "humanTask":
            yield task


# ---------------------------------------------------------------- style
def _names(context: Context, standard: Standard) -> Iterator[Finding]:
    pattern = str(standard.options.get("pattern", ".*"))
    for task in context.tasks:
        if not re.fullmatch(pattern, task.name):
            message = f"the task's name `{task.name}` does not match {pattern}"
            yield Finding(message, task.pointer)


def _size(context: Context, standard: Standard) -> Iterator[Finding]:
    most = int(str(standard.options.get("most", 0)))
    for scope in context.scopes:
        if len(scope.tasks) > most and not isinstance(scope.owner, ForkTask):
            message = f"{len(scope.tasks)} tasks in one scope, and {most} are the most"
            yield Finding(message, scope.pointer, "group them, or make some a flow of their own")


RULES: Final[Mapping[str, Rule]] = {
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
