"""A rule about HTTP calls: literal arguments that make no request."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from coe.errors import Problem
from coe.json_types import JSON
from coe.language.expression_syntax import is_expression
from coe.language.lint.context import LintContext
from coe.language.model.calls import CallHttp, CallOpenApi
from coe.language.request_arguments import request_problems
from coe.language.source import point

_KEY: Final = re.compile(r"\{[^{}]*\}")


def check_requests(context: LintContext) -> Iterator[Problem]:
    """OWS064: a method, a header or an address that a run would refuse, as far as it is literal."""
    for task in context.tasks:
        for name, value, place in _literals(task):
            for message in request_problems({name: value}):
                yield context.problem("OWS064", message, f"{task.pointer}/with{place}", value=True)


def _literals(task: object) -> Iterator[tuple[str, JSON, str]]:
    """The literal arguments of a call: name, value, and where it stands."""
    match task:
        case CallHttp():
            given = task.with_
            if not is_expression(given.method):
                yield "method", given.method, "/method"
            headers = given.headers if isinstance(given.headers, dict) else {}
            for header, value in headers.items():
                if not is_expression(value):
                    yield "headers", {header: value}, f"/headers{point(header)}"
            if not is_expression(given.endpoint.uri):
                yield "endpoint", _KEY.sub("x", given.endpoint.uri), "/endpoint"
        case CallOpenApi():
            uri = task.with_.document.endpoint.uri
            if not is_expression(uri):
                yield "document", _KEY.sub("x", uri), "/document/endpoint"
        case _:
            return
