"""Search over the catalog: by words, qualifiers and filters, with facets and highlights.

The index of this process finds, ranks and counts what the actor may read (`coe.search`); it has
every change that is committed. The rows of a page are read from the database, with the same rights.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from coe import paging
from coe.catalog.records import ENTRY_COLUMNS, Hit, Hits
from coe.catalog.search.asking import (
    NO_WORD,
    cursor_of,
    did_you_mean,
    facets_of,
    note_on,
    question_of,
    reader_of,
)
from coe.catalog.search.browsing import browse, entries_found, hit
from coe.catalog.search.document import SearchDocument
from coe.catalog.search.filters import CatalogFilter
from coe.catalog.search.following import current_index
from coe.catalog.search.loading import texts_of
from coe.catalog.search.requests import CatalogOrder, CatalogSearch
from coe.search.asking import Place
from coe.search.highlights import Highlighter
from coe.work import Read

__all__ = ["CatalogFilter", "CatalogOrder", "CatalogSearch", "complete", "search"]

_CARD = len(ENTRY_COLUMNS)


async def search(read: Read, request: CatalogSearch) -> Hits:
    """Find the matching entries that the actor may read.

    Without a text, with neither `count` nor `facets`, a statement is saved, and the total is 0.

    Raises:
        Invalid: `first` or `after` is not valid.
    """
    paging.check_first(request.first)
    typed = bool((request.text or "").replace("\0", " ").strip())
    if not typed and request.filter.plain:
        return await browse(read, request)
    question = question_of(read, request)
    if typed and question.parsed.empty:
        return _nothing(request)
    index = await current_index(read)
    found = await asyncio.to_thread(index.find, question)
    rows = await entries_found(read, request, [place.id for place in found.places])
    places = [place for place in found.places if place.id in rows]
    marker = Highlighter(question.parsed, found.plan, index.synonyms) if typed else None
    return Hits(
        items=tuple(_hit(rows[place.id], request, place, marker) for place in places),
        cursors=tuple(cursor_of(question.by, place) for place in places),
        has_next=found.has_next,
        has_previous=request.after is not None,
        total=found.total,
        facets=facets_of(found),
        note=note_on(question.parsed, found.plan) if typed else None,
        did_you_mean=did_you_mean(question.parsed, found.plan) if typed else None,
        with_live=request.live,
    )


async def complete(read: Read, text: str, *, first: int = 10) -> list[str]:
    """How the last part of a text may go on: qualifiers, their values, and words of entries.

    Raises:
        Invalid: `first` is not valid.
    """
    paging.check_first(first)
    index = await current_index(read)
    return await asyncio.to_thread(index.complete, reader_of(read), text, most=first)


def _nothing(request: CatalogSearch) -> Hits:
    return Hits(
        items=(),
        cursors=(),
        has_next=False,
        has_previous=request.after is not None,
        total=0,
        facets=(),
        note=NO_WORD,
        with_live=request.live,
    )


def _hit(
    row: Sequence[Any], request: CatalogSearch, place: Place, marker: Highlighter | None
) -> Hit:
    if marker is None:
        return hit(row, request)
    entry = ENTRY_COLUMNS.record(row)
    card = row[_CARD]
    if card is None:
        document = SearchDocument(title=entry.title, summary=entry.summary)
    else:
        document = SearchDocument.model_validate_json(card)
    score = place.key if isinstance(place.key, float) else None
    marked = marker.highlights(texts_of(document, entry.ref))
    return hit(row, request, score=score, highlights=marked)
