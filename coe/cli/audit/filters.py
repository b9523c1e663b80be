"""The options of a filter of the audit log, the same for the list and for an export."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from coe.cli.times import moment_option

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])
_OUTCOMES: Final = ["ALLOWED", "DENIED", "FAILED"]
_OPTIONS: Final = (
    click.option("--actor", "actors", multiple=True, help="Who did it; repeatable."),
    click.option(
        "--action", "actions", multiple=True, help="What, such as runs:run:cancel; repeatable."
    ),
    click.option(
        "--resource",
        "resources",
        multiple=True,
        help="To what, such as flow:sales/order-to-cash, a ref or an id; repeatable.",
    ),
    click.option(
        "--outcome",
        "outcomes",
        multiple=True,
        type=click.Choice(_OUTCOMES, case_sensitive=False),
        help="Repeatable.",
    ),
    click.option("--team", "teams", multiple=True, help="In this namespace; repeatable."),
    click.option("--correlation-id", help="Of this case."),
    moment_option("--since", "since", "At this time or later."),
    moment_option("--before", "before", "Before this time."),
)

_FIELDS: Final = {
    "actors": "actors",
    "actions": "actions",
    "resources": "resources",
    "outcomes": "outcomes",
    "teams": "teams",
    "correlation_id": "correlationId",
    "since": "after",
    "before": "before",
}
"""The field of an AuditFilter by the name of its option."""


def audit_filter(function: FunctionT) -> Callable[..., Any]:
    """Add the options of an AuditFilter, and pass the command the filter as `wanted`."""

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        given = {field: kwargs.pop(option) for option, field in _FIELDS.items()}
        wanted = {field: value for field, value in given.items() if value}
        return function(*args, wanted=wanted, **kwargs)

    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped
