"""The search that the catalog had before: weighted full text of PostgreSQL, typos by trigrams.

Kept to be measured beside the one that replaced it: its statements, over a table of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import asyncpg

from coe.search.entries import IndexedEntry

_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_JOINTS: Final = re.compile(r"[/_.:@-]+")
_OPERATORS: Final = re.compile(r'"|(?:^|\s)-\w|\sor\s', re.IGNORECASE)
_WORD: Final = re.compile(r"[^\W_]+")
_VECTOR: Final = " || ".join(
    f"setweight(to_tsvector('english'::regconfig, {column}), '{weight}')"
    for column, weight in (
        ("search_title", "A"),
        ("search_tags", "B"),
        ("search_summary", "B"),
        ("search_body", "C"),
    )
)
TABLE: Final = f"""
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE EXTENSION IF NOT EXISTS fuzzystrmatch;
DROP TABLE IF EXISTS old_entries;
CREATE TABLE old_entries (
  id uuid PRIMARY KEY, ref text, kind text, team text, title text, summary text, tags text[],
  systems text[], domain text, data_class text, lifecycle text, uses int,
  search_title text, search_tags text, search_summary text, search_body text, search_words text,
  search tsvector GENERATED ALWAYS AS ({_VECTOR}) STORED
)
"""
INDEXES: Final = """
CREATE INDEX ON old_entries (team);
CREATE INDEX ON old_entries USING gin (search);
CREATE INDEX ON old_entries USING gin (search_words gin_trgm_ops);
ANALYZE old_entries
"""
_COLUMNS: Final = (
    *("id", "ref", "kind", "team", "title", "summary", "tags", "systems", "domain", "data_class"),
    *("lifecycle", "uses", "search_title", "search_tags", "search_summary", "search_body"),
    "search_words",
)
_SCORE: Final = """
ts_rank('{0.1, 0.3, 0.6, 1.0}'::float4[], search, (SELECT q FROM query), 1)
+ CASE WHEN lower(title) = $2 THEN 1.0
       WHEN to_tsvector('english', search_title) @@ (SELECT q FROM query) THEN 0.5 ELSE 0.0 END
+ CASE WHEN lifecycle = 'PUBLISHED' THEN 0.05 ELSE 0.0 END
+ least(ln(1 + uses) * 0.01, 0.05)
"""
_MARK: Final = "ts_headline('english', {}, (SELECT q FROM query), '{}')"
_WHOLE: Final = "StartSel=<,StopSel=>,HighlightAll=true"
_PARTS: Final = "StartSel=<,StopSel=>,MaxFragments=2,MaxWords=18,MinWords=6"
_FACETS: Final = ("kind", "team", "unnest(tags)", "domain", "unnest(systems)", "data_class")


@dataclass(frozen=True, slots=True)
class Readable:
    """Which entries the caller may read: all, or those of teams."""

    teams: tuple[str, ...] | None = None

    @property
    def clause(self) -> str:
        """The condition; it has no values of a caller."""
        if self.teams is None:
            return "true"
        return "team IN (" + ", ".join(f"'{team}'" for team in self.teams) + ")"


async def fill(connection: asyncpg.Connection, entries: Iterable[IndexedEntry]) -> None:
    """Create the table with these entries."""
    await connection.execute(TABLE)
    await connection.copy_records_to_table(
        "old_entries", records=[_row(each) for each in entries], columns=_COLUMNS
    )
    await connection.execute(INDEXES)


async def find(
    connection: asyncpg.Connection,
    text: str,
    readable: Readable | None = None,
    *,
    whole: bool = False,
) -> list[str]:
    """The refs of a page of twenty; `whole` counts and makes facets and highlights too."""
    allowed = (readable or Readable()).clause
    words = " ".join(text.split())[:200]
    if not _WORD.search(words):
        return []
    make, value = _query(words)
    one = f"WITH query AS (SELECT {make} AS q) SELECT 1 FROM old_entries WHERE {allowed} "
    if not await connection.fetch(one + "AND search @@ (SELECT q FROM query) LIMIT 1", value):
        similar = await _similar(connection, _WORD.findall(words.lower()), allowed)
        if similar is None:
            return []
        make, value, words = "to_tsquery('english', $1)", similar, ""
    matched = f"{allowed} AND search @@ (SELECT q FROM query) AND lifecycle <> 'RETIRED'"
    if whole:
        await connection.fetch(_counts(make, matched), value)
    marks = ""
    if whole:
        marks = ", " + ", ".join(
            [_MARK.format(each, _WHOLE) for each in ("title", "summary")]
            + [_MARK.format(each, _PARTS) for each in ("search_body", "search_tags")]
        )
    page = (
        f"WITH query AS (SELECT {make} AS q), page AS (SELECT *, round(({_SCORE})::numeric, 6) "
        f"AS score FROM old_entries WHERE {matched} ORDER BY score DESC, id DESC LIMIT 21) "
        f"SELECT ref, score{marks} FROM page ORDER BY score DESC, id DESC"
    )
    rows = await connection.fetch(page, value, words.lower())
    return [row["ref"] for row in rows[:20]]


def _row(entry: IndexedEntry) -> tuple[Any, ...]:
    title = _plain([entry.title, entry.name, entry.namespace])
    tags = _plain([*entry.tags, *entry.systems, entry.domain or ""])
    summary, steps = _plain([entry.summary]), _plain(entry.steps)
    every = f"{title} {tags} {summary} {steps}".lower().split()
    return (
        UUID(int=entry.id.int),
        *(entry.ref, entry.kind, entry.team, entry.title, entry.summary, list(entry.tags)),
        *(list(entry.systems), entry.domain, entry.data_class, entry.lifecycle, entry.uses),
        *(title, tags, summary, _plain([entry.description, *entry.steps])),
        " ".join(dict.fromkeys(word[:40] for word in every)),
    )


def _plain(texts: Iterable[str]) -> str:
    return _JOINTS.sub(" ", _CAMEL.sub(" ", " ".join(texts))).strip()[:4000]


def _query(words: str) -> tuple[str, str]:
    if _OPERATORS.search(words):
        return "websearch_to_tsquery('english', $1)", words
    prefixes = " & ".join(f"'{word}':*" for word in _WORD.findall(words))
    return "to_tsquery('english', $1)", prefixes


def _counts(make: str, matched: str) -> str:
    parts = ["SELECT '' AS name, '' AS value, count(*) FROM base"]
    parts += [
        f"SELECT '{each}', value, count(*) FROM (SELECT {each} AS value FROM base) f GROUP BY value"
        for each in _FACETS
    ]
    columns = "kind, team, tags, domain, systems, data_class"
    return (
        f"WITH query AS (SELECT {make} AS q), base AS MATERIALIZED "
        f"(SELECT {columns} FROM old_entries WHERE {matched}) " + " UNION ALL ".join(parts)
    )


async def _similar(
    connection: asyncpg.Connection, terms: Sequence[str], allowed: str
) -> str | None:
    parts: list[str] = []
    for term in list(dict.fromkeys(terms))[:8]:
        cut = term[:40]
        row = await connection.fetchrow(
            "WITH query AS (SELECT to_tsquery('english', $1) AS q) SELECT numnode(q), EXISTS("
            f"SELECT 1 FROM old_entries WHERE {allowed} AND search @@ (SELECT q FROM query)) "
            "FROM query",
            f"'{cut}':*",
        )
        assert row is not None
        if row[0] == 0:
            continue
        if row[1]:
            parts.append(f"'{cut}':*")
            continue
        words = await _similar_words(connection, cut, allowed)
        if not words:
            return None
        parts.append("(" + " | ".join(f"'{word}'" for word in words) + ")")
    return " & ".join(parts) or None


async def _similar_words(connection: asyncpg.Connection, term: str, allowed: str) -> list[str]:
    for threshold in (0.4, 0.15):
        await connection.execute(f"SET pg_trgm.word_similarity_threshold = {threshold}")
        rows = await connection.fetch(
            f"""
            WITH near AS MATERIALIZED (
              SELECT search_words FROM old_entries WHERE {allowed} AND $1 <% search_words
            ), words AS (
              SELECT DISTINCT unnest(string_to_array(search_words, ' ')) AS word
              FROM (SELECT search_words FROM near LIMIT 1000) n
            ), ranked AS (
              SELECT word, greatest(word_similarity($1, word), 1.0 - levenshtein(word, $1)::float
                / greatest(length(word), length($1))) AS similarity
              FROM words WHERE word ~ '^[[:alnum:]]+$'
            )
            SELECT word FROM ranked WHERE similarity >= 0.45
            ORDER BY similarity DESC, word LIMIT 3
            """,
            term,
        )
        if rows:
            return [row["word"] for row in rows]
    return []
