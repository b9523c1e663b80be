"""Search over the catalog: weighted full text, typos by trigrams, facets, highlights.

Without operators, each word of a search is a prefix, and all must match. With a quote, a leading
minus or an `or`, the search has the syntax of web search (`websearch_to_tsquery`). Only if nothing
matches, the search uses similar words (`coe.catalog.search.suggestions`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Numeric,
    Row,
    and_,
    case,
    cast,
    false,
    func,
    literal,
    select,
    text,
    true,
)

from coe import paging
from coe.catalog.models import Lifecycle
from coe.catalog.records import ENTRY_COLUMNS, Facet, Hit, Hits
from coe.catalog.scope import readable_entries
from coe.catalog.search import facets, suggestions
from coe.catalog.search.browsing import browse, is_plain
from coe.catalog.search.filters import CatalogFilter, predicates
from coe.catalog.search.highlights import fragments, headline
from coe.catalog.search.requests import CatalogOrder, CatalogSearch, Order
from coe.catalog.search.suggestions import evaluated_once
from coe.catalog.tables import ENTRIES
from coe.work import Read

__all__ = ["CatalogFilter", "CatalogOrder", "CatalogSearch", "search"]

_OPERATORS = re.compile(r'"|(?:^|\s)-\w|\sor\s', re.IGNORECASE)
_WORD = re.compile(r"[^\W_]+")
_NO_WORD = "The text has no word: entries are found by letters and digits."
_MAX_TEXT_LENGTH = 200
_WEIGHTS = "{0.1, 0.3, 0.6, 1.0}"
_BODY = (ENTRIES.c.search_body, ENTRIES.c.search_tags)


@dataclass(frozen=True, slots=True)
class _Matching:
    """The matching of a text: the predicate, the score, and the query of the highlights.

    `note` says why the text matches nothing.
    """

    predicate: ColumnElement[bool]
    score: ColumnElement[Any] | None = None
    query: ColumnElement[Any] | None = None
    note: str | None = None


async def search(read: Read, request: CatalogSearch) -> Hits:
    """Find the matching entries that the actor may read.

    Without `count` and `facets` a statement is saved, and the total is 0.

    Raises:
        Invalid: `first` or `after` is not valid.
    """
    paging.check_first(request.first)
    words = _words(request.text)
    if not words and is_plain(request):
        return await browse(read, request)
    allowed = readable_entries(read)
    matching = await _matching(read, words, allowed)
    matched = and_(allowed, matching.predicate)
    total, counted = await _counted(read, request, matched)
    order = Order.of(request.order, matching.score)
    rows = await _rows(read, request, matching, matched, order)
    page = rows[: request.first]
    return Hits(
        items=tuple(_hit(row, matching) for row in page),
        cursors=tuple(order.cursor(row.sort_key, row.id) for row in page),
        has_next=len(rows) > request.first,
        has_previous=request.after is not None,
        total=total,
        facets=counted,
        note=matching.note,
    )


def _words(text: str | None) -> str:
    return " ".join((text or "").replace("\0", " ").split())[:_MAX_TEXT_LENGTH]


async def _matching(read: Read, words: str, allowed: ColumnElement[bool]) -> _Matching:
    if not words:
        return _Matching(true())
    if not _WORD.search(words):
        return _Matching(false(), note=_NO_WORD)
    exact = _by_words(words)
    found = select(literal(1)).where(allowed, exact.predicate).limit(1)
    if await read.session.scalar(found):
        return exact
    similar = await suggestions.similar_query(read.session, _WORD.findall(words.lower()), allowed)
    if similar is None:
        return _Matching(false())
    return _by_query(func.to_tsquery("english", similar), "")


def _by_words(words: str) -> _Matching:
    if _OPERATORS.search(words):
        return _by_query(func.websearch_to_tsquery("english", words), words)
    prefixes = " & ".join(f"'{word}':*" for word in _WORD.findall(words))
    return _by_query(func.to_tsquery("english", prefixes), words)


def _by_query(parsed: ColumnElement[Any], words: str) -> _Matching:
    query = evaluated_once(parsed)
    rank = func.ts_rank(text(f"'{_WEIGHTS}'::float4[]"), ENTRIES.c.search, query, 1)
    is_title = func.lower(ENTRIES.c.title) == words.lower()
    in_title = func.to_tsvector("english", ENTRIES.c.search_title).op("@@")(query)
    score = rank + case((is_title, 1.0), (in_title, 0.5), else_=0.0) + _popularity()
    return _Matching(ENTRIES.c.search.op("@@")(query), _rounded(score), query)


def _popularity() -> ColumnElement[Any]:
    """A small bonus for published and much used entries: it orders equal matches."""
    published = case((ENTRIES.c.lifecycle == Lifecycle.PUBLISHED, 0.05), else_=0.0)
    return published + func.least(func.ln(1 + ENTRIES.c.uses) * 0.01, 0.05)


def _rounded(score: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.round(cast(score, Numeric), 6)


async def _counted(
    read: Read,
    request: CatalogSearch,
    matched: ColumnElement[bool],
) -> tuple[int, tuple[Facet, ...]]:
    if not (request.count or request.facets):
        return 0, ()
    return await facets.count(
        read,
        matched,
        request.filter,
        with_facets=request.facets,
    )


async def _rows(
    read: Read,
    request: CatalogSearch,
    matching: _Matching,
    matched: ColumnElement[bool],
    order: Order,
) -> Sequence[Row[Any]]:
    """The rows of the page, and one more if another page follows."""
    score = literal(None) if matching.score is None else matching.score
    page = select(*ENTRY_COLUMNS, order.key.label("sort_key"), score.label("score"), *_BODY).where(
        matched,
        *predicates(read, request.filter).values(),
    )
    if request.after is not None:
        key, ident = order.place(request.after)
        last = literal(key, order.key.type), literal(ident, ENTRIES.c.id.type)
        page = page.where(order.beyond(*last))
    page = page.order_by(*order.by(order.key, ENTRIES.c.id)).limit(request.first + 1)
    found = page.subquery()
    highlighted = select(*found.c, *_headlines(matching, found.c)).order_by(
        *order.by(found.c.sort_key, found.c.id),
    )
    return (await read.session.execute(highlighted)).all()


def _headlines(matching: _Matching, columns: Any) -> list[ColumnElement[Any]]:
    if matching.query is None:
        return []
    return [
        headline(columns.title, matching.query, whole=True).label("title_mark"),
        headline(columns.summary, matching.query, whole=True).label("summary_mark"),
        headline(columns.search_body, matching.query, whole=False).label("body_mark"),
        headline(columns.search_tags, matching.query, whole=False).label("tags_mark"),
    ]


def _hit(row: Row[Any], matching: _Matching) -> Hit:
    marked: tuple[str, ...] = ()
    if matching.query is not None:
        marked = fragments([row.title_mark, row.summary_mark, row.body_mark, row.tags_mark])
    score = None if row.score is None else float(row.score)
    return Hit(ENTRY_COLUMNS.record(row), score, marked)
