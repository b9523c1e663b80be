"""Rules about calls: arguments, and the flows and decision tables of the catalog."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from coe.errors import Problem, Severity
from coe.json_types import JSON
from coe.language.expression_syntax import is_expression
from coe.language.functions import FUNCTIONS
from coe.language.json_schema.violations import Violation, violations
from coe.language.lint.context import KnownFlow, LintContext, Lookup
from coe.language.model.calls import CallFunction
from coe.language.model.task import Task
from coe.language.model.task_types import RunTask
from coe.language.source import tokens
from coe.language.suggestions import did_you_mean

_DECISION: Final = "decision"


def check_arguments(context: LintContext) -> Iterator[Problem]:
    """OWS055: arguments that the function's schema refuses, as far as they are literal."""
    for task in context.tasks:
        if not isinstance(task, CallFunction) or task.call in context.definition.use.functions:
            continue
        function = FUNCTIONS.get((task.function.name, task.function.version or ""))
        if function is None or task.function.catalog != "default":
            continue
        for found in _static(context, function.arguments, task.with_):
            where = f"{task.pointer}/with{found.path}"
            message = f"`{function.call}`: {found.path or 'its arguments'} {found.message}"
            value = found.keyword not in ("required", "additionalProperties")
            yield context.problem("OWS055", message, where, value=value, help=found.help)


def check_flows(context: LintContext) -> Iterator[Problem]:
    """OWS052 to OWS054 and OWS056: called flows and tables, their versions and input."""
    if context.known is None:
        return
    for task in context.tasks:
        called = _called(task)
        if called is None:
            continue
        ref, where, data_at, data = called
        table = isinstance(task, CallFunction) and task.function.name == _DECISION
        flow = context.known.decision(ref) if table else context.known.flow(ref)
        noun = "decision table" if table else "flow"
        if flow is None:
            yield _missing(context, context.known, ref, where, table=table)
        elif flow.version is None:
            message = f"the {noun} `{ref.partition('@')[0]}` has no version for `{ref}`"
            yield context.problem("OWS053", message, where, value=True)
        else:
            yield from _flow(context, ref, where, flow)
            if data is not None and flow.input_schema is not None:
                for found in _static(context, flow.input_schema, data):
                    message = f"`{ref}` refuses this input: {found}"
                    yield context.problem("OWS054", message, data_at + found.path, value=True)


def _missing(context: LintContext, known: Lookup, ref: str, where: str, *, table: bool) -> Problem:
    """A flow or table that is not there; where not all are known here, it may be elsewhere."""
    noun, entry = "decision table" if table else "flow", ref.partition("@")[0]
    names = known.names(decisions=table)
    message = f"the {noun} `{entry}` is not looked up: there is no folder of {noun}s"
    severity = Severity.INFO
    if names is not None:
        message = f"the catalog has no {noun} `{entry}`{did_you_mean(entry, names)}"
        severity = Severity.ERROR
    if names is not None and not known.complete:
        message = f"no {noun} `{entry}` is in the content folders{did_you_mean(entry, names)}"
        severity = Severity.WARNING
    return context.problem("OWS052", message, where, value=True, severity=severity)


def _flow(context: LintContext, ref: str, where: str, flow: KnownFlow) -> Iterator[Problem]:
    if flow.lifecycle in ("DRAFT", "IN_REVIEW"):
        message = f"`{ref}` is not published: it is {flow.lifecycle}"
        yield context.problem("OWS053", message, where, value=True)
    elif flow.lifecycle == "RETIRED":
        message = f"`{ref}` is retired, and starts no more runs"
        yield context.problem("OWS056", message, where, value=True)
    elif flow.lifecycle == "DEPRECATED":
        message = f"`{ref}` is deprecated"
        severity = Severity.WARNING
        yield context.problem("OWS056", message, where, value=True, severity=severity)


def _called(task: Task) -> tuple[str, str, str, JSON] | None:
    """The ref of a called flow or table, its pointer, the pointer of its input, and the input.

    The input is None if the task's input is passed, which only a run knows.
    """
    if isinstance(task, RunTask) and task.run.workflow is not None:
        flow = task.run.workflow
        place = f"{task.pointer}/run/workflow"
        selector = "" if flow.version == "latest" else f"@{flow.version}"
        return (
            f"{flow.namespace}/{flow.name}{selector}",
            f"{place}/name",
            f"{place}/input",
            flow.input,
        )
    if isinstance(task, CallFunction) and task.function.name in {"localFlow", _DECISION}:
        ref = task.with_.get("ref")
        if isinstance(ref, str) and "${" not in ref:
            place = f"{task.pointer}/with"
            return ref, f"{place}/ref", f"{place}/input", task.with_.get("input")
    return None


def _static(context: LintContext, schema: JSON, data: JSON) -> list[Violation]:
    """The violations that no value of an expression could fix."""
    if is_expression(data):
        return []
    return [
        found for found in violations(schema, data, context.allowance) if not _dynamic(data, found)
    ]


def _dynamic(data: Any, found: Violation) -> bool:
    """Whether the refused value is, contains, or is part of an expression."""
    for token in tokens(found.path):
        if isinstance(data, dict) and token in data:
            data = data[token]
        elif isinstance(data, list) and token.isdecimal() and int(token) < len(data):
            data = data[int(token)]
        else:
            return False
        if is_expression(data):
            return True
    return found.keyword not in ("required", "additionalProperties") and _holds_expression(data)


def _holds_expression(data: Any) -> bool:
    if isinstance(data, dict):
        return any(_holds_expression(value) for value in data.values())
    if isinstance(data, list):
        return any(_holds_expression(value) for value in data)
    return is_expression(data)
