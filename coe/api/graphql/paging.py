"""Connections: keyset pages with opaque cursors, `first` at most 100."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from coe.api.graphql.nodes import object_type
from coe.paging import Page, check_first

N = TypeVar("N")
R = TypeVar("R")


@object_type
class PageInfo:
    """The position of a page in its list."""

    has_next_page: bool
    has_previous_page: bool
    start_cursor: str | None
    end_cursor: str | None

    @classmethod
    def of(cls, page: Page[Any]) -> PageInfo:
        """The view of a page's position."""
        return cls(
            has_next_page=page.has_next,
            has_previous_page=page.has_previous,
            start_cursor=page.cursors[0] if page.cursors else None,
            end_cursor=page.cursors[-1] if page.cursors else None,
        )


@object_type
class Edge(Generic[N]):
    """An item of a list, and its cursor."""

    cursor: str
    node: N


@object_type
class Connection(Generic[N]):
    """A page of a list; `totalCount` counts the items of all pages."""

    edges: Sequence[Edge[N]]
    nodes: list[N]
    page_info: PageInfo
    total_count: int

    @classmethod
    def of(cls, page: Page[R], view: Callable[[R], N]) -> Connection[N]:
        """The view of a page, each item shown by `view`."""
        nodes = [view(item) for item in page.items]
        return cls(
            edges=[
                Edge(cursor=cursor, node=node)
                for cursor, node in zip(page.cursors, nodes, strict=True)
            ],
            nodes=nodes,
            page_info=PageInfo.of(page),
            total_count=page.total,
        )


def page_size(first: int | None, *, default: int = 20) -> int:
    """`first`, or the default where the caller sent null.

    Raises:
        Invalid: It is not from 0 to 100.
    """
    return default if first is None else check_first(first)
