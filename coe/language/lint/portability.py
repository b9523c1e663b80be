"""The rule about portability: what runs here, but the specification's schema does not allow."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from coe.errors import Problem, Severity
from coe.language.fields import URI
from coe.language.lint.context import LintContext
from coe.language.model.calls import CallHttp
from coe.language.model.components import ErrorDefinition
from coe.language.model.events import EventFilter, EventProperties
from coe.language.model.task_types import ForTask, RunTask, SetTask
from coe.language.source import point


def check_portability(context: LintContext) -> Iterator[Problem]:
    """OWS045: parts that other runtimes refuse."""
    for place, message in (*_in_tasks(context), *_in_parts(context)):
        yield context.problem("OWS045", message, place, severity=Severity.WARNING, value=True)


def _in_tasks(context: LintContext) -> Iterator[tuple[str, str]]:
    for task in context.tasks:
        match task:
            case ForTask() if isinstance(task.for_.in_, list):
                if not all(isinstance(item, dict) for item in task.for_.in_):
                    message = "the specification requires the items of an array here to be objects"
                    yield f"{task.pointer}/for/in", message
            case SetTask() if task.set == {}:
                yield f"{task.pointer}/set", "the specification requires at least one key here"
            case RunTask() if task.run.workflow and isinstance(task.run.workflow.input, str):
                message = "the specification requires an object here"
                yield f"{task.pointer}/run/workflow/input", message
            case CallHttp():
                yield from _texts(task.with_.headers, f"{task.pointer}/with/headers")
                yield from _texts(task.with_.query, f"{task.pointer}/with/query")


def _texts(entries: Any, place: str) -> Iterator[tuple[str, str]]:
    for key, value in entries.items() if isinstance(entries, dict) else ():
        if not isinstance(value, str):
            yield place + point(key), "the specification requires text here: quote it"


def _in_parts(context: LintContext) -> Iterator[tuple[str, str]]:
    uris: list[tuple[str, str | None]] = []
    for place, error in context.parts(ErrorDefinition):
        uris.append((f"{place}/type", error.type))
    for place, event in context.parts(EventProperties):
        uris += [(f"{place}/source", event.source), (f"{place}/dataschema", event.dataschema)]
    for place, uri in uris:
        if uri is not None and not re.match(URI, uri):
            yield place, "the specification requires a URI such as https://example.com/x here"
    for place, wanted in context.parts(EventFilter):
        if not wanted.with_.given():
            yield f"{place}/with", "the specification requires at least one attribute here"
