"""Errors of the language (RFC 7807 objects): made, normalised and matched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from coe.json_types import JSON, value_text
from coe.language.error_types import BASE, STATUSES, normal_type

if TYPE_CHECKING:
    from collections.abc import Mapping


type_of = BASE.__add__


class ErrorHandler(Protocol):
    """Something that may catch an error: a `try`, or a race that continues without a branch."""

    outer: ErrorHandler | None

    async def accepts(self, error: dict[str, JSON]) -> bool:
        """Whether this handler catches the error."""


class TaskFault(Exception):
    """An error in flight. `target` is the handler that catches it, None before the search."""

    def __init__(self, error: dict[str, JSON], target: ErrorHandler | None = None) -> None:
        super().__init__(str(error.get("type")))
        self.error = error
        self.target = target


def standard_error(
    name: str,
    *,
    title: str,
    detail: str | None = None,
    status: int | None = None,
    instance: str,
) -> dict[str, JSON]:
    """Make an error of a standard type, such as "timeout"; `instance` points to the component."""
    error: dict[str, JSON] = {
        "type": type_of(name),
        "status": STATUSES[name] if status is None else status,
        "title": title,
        "instance": instance,
    }
    if detail is not None:
        error["detail"] = detail
    return error


def normalised_error(error: JSON, instance: str) -> dict[str, JSON]:
    """Complete a foreign error object to what the language requires.

    Unknown members are dropped. A missing type becomes `runtime`, a missing status the default of
    the type.
    """
    given = error if isinstance(error, dict) else {}
    kind = normal_type(str(given.get("type") or type_of("runtime")))
    status = given.get("status")
    if not isinstance(status, int) or isinstance(status, bool):
        status = STATUSES.get(kind.removeprefix(BASE), 500)
    clean: dict[str, JSON] = {"type": kind, "status": status}
    for name in ("title", "detail"):
        if given.get(name) is not None:
            clean[name] = value_text(given[name])
    clean["instance"] = value_text(given.get("instance") or instance)
    return clean


def error_matches(error: Mapping[str, JSON], wanted: Mapping[str, JSON]) -> bool:
    """Whether every property of a static filter (`errors.with`) equals the error's."""
    return all(
        error.get(name) == (normal_type(str(value)) if name == "type" else value)
        for name, value in wanted.items()
    )
