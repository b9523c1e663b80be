"""Lists of the API on the command line: `--first`, `--after` and `--all`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import click

from coe.cli.api_client import ApiClient
from coe.cli.progress import progress

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])
PAGE: Final = "pageInfo { hasNextPage endCursor } totalCount"
"""What a document selects of each list beside its items."""
_MAX: Final = 100


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list is wanted: `first` items after a cursor, or all, `most` at a time."""

    first: int
    after: str | None
    every: bool
    most: int = _MAX

    @property
    def variables(self) -> dict[str, object]:
        """The variables `first` and `after` of a document."""
        return {"first": self.most if self.every else self.first, "after": self.after}


def paged(first: int = 20) -> Callable[[FunctionT], Callable[..., Any]]:
    """Add the options of a list, and pass the command its `page`."""

    def decorate(function: FunctionT) -> Callable[..., Any]:
        @click.option(
            "--first",
            default=first,
            show_default=True,
            type=click.IntRange(1, _MAX),
            help="How many.",
        )
        @click.option("--after", metavar="CURSOR", help="Continue after this cursor.")
        @click.option("--all", "every", is_flag=True, help="All pages.")
        @functools.wraps(function)
        def wrapped(*args: Any, first: int, after: str | None, every: bool, **kwargs: Any) -> Any:
            return function(*args, page=Page(first, after, every), **kwargs)

        return wrapped

    return decorate


def fetch(
    api: ApiClient, query: str, variables: Mapping[str, object], page: Page, *path: str
) -> dict[str, Any]:
    """The wanted part of a list, as one page; `path` leads to it in the data."""
    with progress("reading", unit="items") as advance:
        found: dict[str, Any] | None = None
        for part in api.pages(query, {**variables, **page.variables}, *path):
            if found is None:
                found = dict(part)
            else:
                for name in ("nodes", "edges"):
                    if name in found:
                        found[name] = [*found[name], *part[name]]
                found["pageInfo"] = part["pageInfo"]
            advance(len(found.get("nodes") or found.get("edges") or ()))
            if not page.every:
                break
    return found or {}


def notes_on(found: Mapping[str, Any]) -> list[str]:
    """How to see more, if there is more."""
    if not found["pageInfo"]["hasNextPage"]:
        return []
    shown = len(found.get("nodes") or found.get("edges") or ())
    cursor = found["pageInfo"]["endCursor"]
    return [f"{shown} of {found['totalCount']}; continue with --after {cursor}, or take --all"]
