"""Keyset pagination: an opaque cursor contains the sort key of a row, not an offset."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

import orjson

from coe.errors import Invalid, Problem
from coe.formats import instants

MAX_PAGE_SIZE = 100

ItemT = TypeVar("ItemT")
OtherT = TypeVar("OtherT")


@dataclass(frozen=True, slots=True)
class Page(Generic[ItemT]):
    """A page of a list; `cursors` has one for each item, `total` counts all pages."""

    items: tuple[ItemT, ...]
    cursors: tuple[str, ...]
    has_next: bool
    has_previous: bool
    total: int

    def with_items(self, items: Iterable[OtherT]) -> Page[OtherT]:
        """The same page of what is shown of its items, one for each."""
        return Page(tuple(items), self.cursors, self.has_next, self.has_previous, self.total)


def encode(kind: str, key: Sequence[str]) -> str:
    """Encode the cursor of a row: `kind`, the name of the order, and the row's sort key."""
    return base64.urlsafe_b64encode(orjson.dumps([kind, *key])).decode().rstrip("=")


def decode(kind: str, cursor: str, readers: Sequence[Callable[[str], Any]]) -> list[Any]:
    """Decode the sort key in a cursor, each part with its reader.

    Raises:
        Invalid: It is not a cursor of this order.
    """
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        name, *parts = orjson.loads(base64.urlsafe_b64decode(padded.encode()))
        if name == kind and len(parts) == len(readers):
            return [reader(part) for reader, part in zip(readers, parts, strict=True)]
    except (ValueError, TypeError, ArithmeticError, AttributeError):
        pass
    raise Invalid(
        [
            Problem(
                "INPUT_CURSOR",
                "this cursor does not belong to this list in this order",
                path="/after",
                help="pass an endCursor of the same query, or leave it out",
            ),
        ],
    )


def check_span(after: datetime | None, before: datetime | None, *, path: str) -> None:
    """Check that something can be at `after` or later and before `before`, the one at `path`.

    Raises:
        Invalid: Nothing can.
    """
    if after is not None and before is not None and after >= before:
        earliest, end = instants.write(after), instants.write(before)
        message = f"nothing is both at {earliest} or later and before {end}"
        raise Invalid([Problem("INPUT_FILTER", message, path=path)])


def check_first(first: int) -> int:
    """Check and return the size of a page.

    Raises:
        Invalid: It is not from 0 to 100.
    """
    if not 0 <= first <= MAX_PAGE_SIZE:
        message = f"`first` is between 0 and {MAX_PAGE_SIZE}, not {first}"
        raise Invalid([Problem("INPUT_PAGE_SIZE", message, path="/first")])
    return first
