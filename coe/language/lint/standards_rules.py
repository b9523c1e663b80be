"""The rules of the centre's standards (COE…), one function each.

A new rule is a function here, its line in `RULES`, its entry in policies/standards.yaml, and a
passing and a failing example in tests/language.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from coe.errors import Problem
from coe.language.lint import standards_calls, standards_people
from coe.language.lint.context import LintContext
from coe.language.lint.standard_findings import StandardFinding, StandardRule
from coe.language.lint.standards import Standard
from coe.language.model.calls import CallHttp, CallOpenApi
from coe.language.model.task_types import ForkTask
from coe.language.source import point

# The classes of data that access and catalog have.
DATA_CLASSES: Final = ("PUBLIC", "INTERNAL", "CONFIDENTIAL", "PERSONAL")


APPROVALS_STANDARD: Final = "COE050"
"""The standard that sets how many people must approve a version."""
COVERAGE_STANDARD: Final = "COE060"
"""The standard that sets how much of a definition its tests must reach."""

# Standards that are checked elsewhere: at the publication, and by whatever runs the tests.
ELSEWHERE: Final = frozenset((APPROVALS_STANDARD, COVERAGE_STANDARD))


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
    "COE020": standards_calls.check_call_timeout,
    "COE021": standards_calls.check_error_handling,
    "COE022": standards_calls.check_retry_limit,
    "COE023": standards_calls.check_https,
    "COE024": standards_calls.check_credentials,
    "COE025": standards_calls.check_pinned,
    "COE030": standards_people.check_due,
    "COE031": standards_people.check_four_eyes,
    "COE032": standards_people.check_teams,
    "COE033": standards_people.check_one_decision_each,
    "COE040": _names,
    "COE041": _size,
}
