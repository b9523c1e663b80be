"""Connections: pages over a keyset, `first` at most 100, opaque cursors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import strawberry

from coe.errors import Invalid, Problem

MOST = 100
"""The most that `first` may ask for."""


class Paged(Protocol):
    """What a page of any of our queries tells of its place."""

    @property
    def cursors(self) -> Sequence[str]:
        """One for each item."""

    @property
    def has_next(self) -> bool:
        """Whether more follow."""

    @property
    def has_previous(self) -> bool:
        """Whether some went before."""


@strawberry.type(description="Where a page stands in its list")
class PageInfo:
    """Where a page stands in its list."""

    has_next_page: bool
    has_previous_page: bool
    start_cursor: str | None
    end_cursor: str | None

    @classmethod
    def of(cls, page: Paged) -> PageInfo:
        """The view of a page's place."""
        return cls(
            has_next_page=page.has_next,
            has_previous_page=page.has_previous,
            start_cursor=page.cursors[0] if page.cursors else None,
            end_cursor=page.cursors[-1] if page.cursors else None,
        )


def checked(first: int | None, *, default: int = 20) -> int:
    """`first`, if it is between 0 and 100; the default where the caller sent null.

    Raises:
        Invalid: It is not.
    """
    if first is None:
        return default
    if not 0 <= first <= MOST:
        message = f"`first` is between 0 and {MOST}, not {first}"
        raise Invalid([Problem("INPUT_PAGE_SIZE", message, path="/first")])
    return first
