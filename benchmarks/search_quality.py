"""How good the search is, by judged queries, before and after.

`python benchmarks/search_quality.py --corpus workflows.jsonl` asks the catalog's search and the one
that it had before (PostgreSQL full text) over the shipped library and the corpus, and prints
nDCG@10, MRR@10 and the share of queries whose first entry is right, by kind of query. What was
tuned was tuned on one half of the queries (`dev`); the other half (`test`) was held back.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

import asyncpg
import search_old
import yaml
from search_entries import corpus, shipped
from search_queries import Judged, judged

from coe import content
from coe.embedded_postgres import EmbeddedPostgres
from coe.search.asking import Question
from coe.search.entries import IndexedEntry
from coe.search.index import EntryIndex
from coe.search.parsing import parse
from coe.search.reach import Reach, Reader
from coe.search.synonyms import Synonyms

Find = Callable[[str], Awaitable[list[str]]]
_CLASSES: Final = frozenset({"PUBLIC"})
_ALL: Final = Reach(_CLASSES, every=_CLASSES)
EVERYBODY: Final = Reader("nobody", _ALL, _ALL, _ALL)


async def old_search(entries: Sequence[IndexedEntry], queries: Sequence[Judged]) -> list[list[str]]:
    """What the search found that the catalog had before."""
    with tempfile.TemporaryDirectory(prefix="coe-bench-") as folder:
        server = EmbeddedPostgres(Path(folder) / "data", ephemeral=True)
        server.start()
        try:
            connection = await asyncpg.connect(server.url("postgres"))
            await search_old.fill(connection, entries)
            found = [await search_old.find(connection, each.text) for each in queries]
            await connection.close()
        finally:
            server.stop()
    return found


def new_search(entries: Sequence[IndexedEntry], queries: Sequence[Judged]) -> list[list[str]]:
    """What the search of the catalog finds."""
    document = yaml.safe_load((content.root() / "catalog/synonyms.yaml").read_text())
    index = EntryIndex(Synonyms.of(document))
    index.build(entries)
    refs = {each.id: each.ref for each in entries}
    found = []
    for each in queries:
        page = index.find(Question(parse(each.text), EVERYBODY))
        found.append([refs[place.id] for place in page.places])
    return found


def report(name: str, queries: Sequence[Judged], found: Sequence[list[str]]) -> None:
    """Print the measures of each kind and of all."""
    print(f"\n{name:14} {'queries':>8} {'nDCG@10':>8} {'MRR@10':>8} {'first':>8}")
    pairs = list(zip(queries, found, strict=True))
    groups = {
        kind: [p for p in pairs if p[0].kind == kind]
        for kind in dict.fromkeys(q.kind for q in queries)
    }
    groups |= {
        "all": pairs,
        "all of dev": [pair for pair in pairs if not pair[0].test],
        "all of test": [pair for pair in pairs if pair[0].test],
    }
    for kind, group in groups.items():
        gain = statistics.mean(query.ndcg(refs) for query, refs in group)
        rank = statistics.mean(query.reciprocal(refs) for query, refs in group)
        first = statistics.mean(query.right_first(refs) for query, refs in group)
        print(f"{kind:14} {len(group):8} {gain:8.3f} {rank:8.3f} {first:8.1%}")


def misses(queries: Sequence[Judged], found: Sequence[list[str]], *, below: float) -> None:
    """Print the queries that are answered badly, of the half that may be tuned on."""
    for query, refs in zip(queries, found, strict=True):
        if not query.test and query.ndcg(refs) < below:
            print(f"{query.ndcg(refs):.2f} {query.kind:12} {query.text!r}: {refs[:4]}")


async def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    given = os.environ.get("COE_BENCH_CORPUS")
    options.add_argument("--corpus", type=Path, default=given, required=given is None)
    options.add_argument("--only-new", action="store_true", help="leave out the search of before")
    options.add_argument("--misses", type=float, help="list the queries of dev with a lower nDCG")
    asked = options.parse_args()
    entries = [*shipped(), *corpus(Path(asked.corpus))]
    queries = judged([each.ref for each in entries])
    print(f"{len(entries)} entries, {len(queries)} judged queries")
    if not asked.only_new:
        report("before", queries, await old_search(entries, queries))
    found = new_search(entries, queries)
    report("after", queries, found)
    if asked.misses is not None:
        misses(queries, found, below=asked.misses)


if __name__ == "__main__":
    asyncio.run(main())
