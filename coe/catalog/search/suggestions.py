"""Suggestions for a search without results: similar words of the entries that the actor may read.

Words are similar by trigrams (pg_trgm), or if they differ in few letters (fuzzystrmatch).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Float, cast, exists, func, literal, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from coe.catalog.search.document import MAX_WORD_LENGTH
from coe.catalog.tables import ENTRIES

_MIN_SIMILARITY: Final = 0.45
"""The least similarity of a suggested word, from 0 to 1; `csah` and `cash` have 0.5."""
_INDEX_THRESHOLDS: Final = (0.4, 0.15)
"""The least trigram similarity at which the index returns an entry; the second value is used if the
first finds no similar word."""
_MAX_ENTRIES: Final = 1_000
_MAX_TERMS: Final = 8
_MAX_WORDS: Final = 3


async def similar_query(
    session: AsyncSession,
    terms: Sequence[str],
    allowed: ColumnElement[bool],
) -> str | None:
    """The text of a tsquery with the most similar words of each term.

    Returns:
        None if a term has no similar word, or if all are stop words.
    """
    parts: list[str] = []
    for term in list(dict.fromkeys(terms))[:_MAX_TERMS]:
        cut = term[:MAX_WORD_LENGTH]
        match await _known(session, cut, allowed):
            case None:
                continue
            case True:
                parts.append(f"'{cut}':*")
            case False:
                words = await _similar_words(session, cut, allowed)
                if not words:
                    return None
                parts.append("(" + " | ".join(f"'{word}'" for word in words) + ")")
    return " & ".join(parts) or None


def evaluated_once(query: ColumnElement[Any]) -> ColumnElement[Any]:
    """A tsquery that is parsed once a statement; a generic plan would parse it once a row."""
    return select(query).scalar_subquery()


async def _known(
    session: AsyncSession,
    term: str,
    allowed: ColumnElement[bool],
) -> bool | None:
    """Whether a word starts with the term; None for a stop word, whose query is empty."""
    query = evaluated_once(func.to_tsquery("english", f"'{term}':*"))
    prefix_exists = exists().where(allowed, ENTRIES.c.search.op("@@")(query))
    row = (await session.execute(select(func.numnode(query), prefix_exists))).one()
    return None if row[0] == 0 else bool(row[1])


async def _similar_words(
    session: AsyncSession, term: str, allowed: ColumnElement[bool]
) -> list[str]:
    for threshold in _INDEX_THRESHOLDS:
        await session.execute(text(f"SET LOCAL pg_trgm.word_similarity_threshold = {threshold}"))
        found = (await session.scalars(_select_similar_words(term, allowed))).all()
        if found:
            return list(found)
    return []


def _select_similar_words(term: str, allowed: ColumnElement[bool]) -> Any:
    entries = (
        select(ENTRIES.c.search_words)
        .where(allowed, literal(term).op("<%")(ENTRIES.c.search_words))
        .cte("similar_entries")
        .prefix_with("MATERIALIZED")  # with a limit, the planner would not use the index
    )
    candidates = select(entries.c.search_words).limit(_MAX_ENTRIES).subquery()
    words = (
        select(func.unnest(func.string_to_array(candidates.c.search_words, " ")).label("word"))
        .distinct()
        .subquery()
    )
    word = words.c.word
    edits = func.levenshtein(word, term)
    by_edits = 1.0 - cast(edits, Float) / func.greatest(func.length(word), len(term))
    similarity = func.greatest(func.word_similarity(term, word), by_edits)
    return (
        select(word)
        .where(word.op("~")(r"^[[:alnum:]]+$"), similarity >= _MIN_SIMILARITY)
        .order_by(similarity.desc(), word)
        .limit(_MAX_WORDS)
    )
