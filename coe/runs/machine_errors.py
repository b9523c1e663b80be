"""Errors of the language: RFC 7807 objects of the standard types, raised and matched.

The specification moved its error types from one host to another, and older texts have other paths;
all of them mean the same error, so types are put into one form before they are compared.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from coe.db import JSON

BASE: Final = "https://open-workflow-specification.org/spec/1.0.0/errors/"

# Standard types with their default status (dsl-reference.md, "Standard Error Types").
STATUSES: Final[Mapping[str, int]] = {
    "configuration": 400,
    "validation": 400,
    "expression": 400,
    "authentication": 401,
    "authorization": 403,
    "timeout": 408,
    "communication": 500,
    "runtime": 500,
}

_STANDARD: Final = re.compile(
    r"https?://(?:www\.)?(?:open-workflow-specification\.org|serverlessworkflow\.io(?:\.io)?)"
    r"/(?:spec/[^/]+/errors|dsl/errors/types)/(?P<name>[a-z]+)/?"
)

type_of = BASE.__add__


class Handler(Protocol):
    """What may catch an error: a `try`, or a race that goes on without one of its branches."""

    outer: Handler | None

    async def accepts(self, error: dict[str, JSON]) -> bool:
        """Whether it catches this error."""


class Fault(Exception):
    """An error on its way. `target` is who will catch it, None while nobody has been looked for."""

    def __init__(self, error: dict[str, JSON], target: Handler | None = None) -> None:
        """Carry the error object to its target."""
        super().__init__(str(error.get("type")))
        self.error = error
        self.target = target


def standard(
    name: str,
    *,
    title: str,
    detail: str | None = None,
    status: int | None = None,
    instance: str = "",
) -> dict[str, JSON]:
    """An error of a standard type, such as "timeout"; `instance` points to the component."""
    error: dict[str, JSON] = {
        "type": type_of(name),
        "status": STATUSES[name] if status is None else status,
        "title": title,
        "instance": instance,
    }
    if detail is not None:
        error["detail"] = detail
    return error


def normal_type(uri: str) -> str:
    """A standard type in its present form, whatever host it came with; others unchanged."""
    match = _STANDARD.fullmatch(uri)
    return BASE + match["name"] if match and match["name"] in STATUSES else uri


def normalised(error: JSON, instance: str) -> dict[str, JSON]:
    """An error object from outside with all that the language requires of one.

    Unknown members are dropped; a missing type is `runtime`, a missing status the type's default.
    """
    given = error if isinstance(error, dict) else {}
    kind = normal_type(str(given.get("type") or type_of("runtime")))
    status = given.get("status")
    if not isinstance(status, int) or isinstance(status, bool):
        status = STATUSES.get(kind.removeprefix(BASE), 500)
    clean: dict[str, JSON] = {"type": kind, "status": status}
    for name in ("title", "detail"):
        if given.get(name) is not None:
            clean[name] = str(given[name])
    clean["instance"] = str(given.get("instance") or instance)
    return clean


def matches(error: Mapping[str, JSON], wanted: Mapping[str, JSON]) -> bool:
    """Whether every property of a static filter (`errors.with`) equals the error's."""
    return all(
        error.get(name) == (normal_type(str(value)) if name == "type" else value)
        for name, value in wanted.items()
    )
