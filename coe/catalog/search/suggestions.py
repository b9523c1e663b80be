"""Mending the spelling of a search that found nothing, from the words of what may be read.

A word is near when it is alike by trigrams (pg_trgm) or differs in few letters (fuzzystrmatch).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Float, cast, exists, func, literal, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from coe.catalog.search.document import LONGEST_WORD
from coe.catalog.tables import ENTRIES

_NEAR: Final = 0.45
"""How near a word must come, from 0 to 1; `csah` comes as near to `cash` as 0.5."""
_THRESHOLDS: Final = (0.4, 0.15)
"""How alike by trigrams an entry's words must be, for the index to bring it; the second if the
first brings no near word."""
_MOST_ENTRIES: Final = 1_000
_MOST_TERMS: Final = 8
_CHOICES: Final = 3


async def nearest(
    session: AsyncSession,
    terms: Sequence[str],
    allowed: ColumnElement[bool],
) -> str | None:
    """The text of a tsquery that asks for the words nearest to the terms, one for each term.

    Returns:
        None where a term has no near word, or all are stop words.
    """
    parts: list[str] = []
    for term in list(dict.fromkeys(terms))[:_MOST_TERMS]:
        cut = term[:LONGEST_WORD]
        match await _known(session, cut, allowed):
            case None:
                continue
            case True:
                parts.append(f"'{cut}':*")
            case False:
                words = await _near(session, cut, allowed)
                if not words:
                    return None
                parts.append("(" + " | ".join(f"'{word}'" for word in words) + ")")
    return " & ".join(parts) or None


def evaluated_once(query: ColumnElement[Any]) -> ColumnElement[Any]:
    """A tsquery that is parsed once a statement; under a generic plan it would be once a row."""
    return select(query).scalar_subquery()


async def _known(
    session: AsyncSession,
    term: str,
    allowed: ColumnElement[bool],
) -> bool | None:
    """Whether a word begins with the term; none for a stop word, which begins everything."""
    query = evaluated_once(func.to_tsquery("english", f"'{term}':*"))
    begun = exists().where(allowed, ENTRIES.c.search.op("@@")(query))
    row = (await session.execute(select(func.numnode(query), begun))).one()
    return None if row[0] == 0 else bool(row[1])


async def _near(session: AsyncSession, term: str, allowed: ColumnElement[bool]) -> list[str]:
    for threshold in _THRESHOLDS:
        await session.execute(text(f"SET LOCAL pg_trgm.word_similarity_threshold = {threshold}"))
        found = (await session.scalars(_words_like(term, allowed))).all()
        if found:
            return list(found)
    return []


def _words_like(term: str, allowed: ColumnElement[bool]) -> Any:
    entries = (
        select(ENTRIES.c.search_words)
        .where(allowed, literal(term).op("<%")(ENTRIES.c.search_words))
        .cte("entries_alike")
        .prefix_with("MATERIALIZED")  # under a limit the planner would pass the index by
    )
    some = select(entries.c.search_words).limit(_MOST_ENTRIES).subquery()
    words = (
        select(func.unnest(func.string_to_array(some.c.search_words, " ")).label("word"))
        .distinct()
        .subquery()
    )
    word = words.c.word
    letters = func.levenshtein(word, term)
    by_letters = 1.0 - cast(letters, Float) / func.greatest(func.length(word), len(term))
    likeness = func.greatest(func.word_similarity(term, word), by_letters)
    return (
        select(word)
        .where(word.op("~")(r"^[[:alnum:]]+$"), likeness >= _NEAR)
        .order_by(likeness.desc(), word)
        .limit(_CHOICES)
    )
