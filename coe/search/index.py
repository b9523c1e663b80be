"""The index: built from entries, changed entry by entry, and asked by many at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Final
from uuid import UUID

from tantivy import DocAddress, Index, IndexWriter, Occur, Order, Query, Searcher

from coe.search.asking import By, Criterion, Found, Mode, Place, Plan, Question
from coe.search.entries import FACETS, DocumentMaker, IndexedEntry, make_schema
from coe.search.parsing import QUALIFIERS, ParsedText, Qualifier
from coe.search.ranking import (
    MIN_PREFIX,
    Ranking,
    Unit,
    edits_allowed,
    must,
    silent,
    single_units,
    units_of,
)
from coe.search.reach import Reader, both, either
from coe.search.synonyms import Synonyms
from coe.search.words import STOP_WORDS, analyzers, edits, fold, words_in

_BUILD_HEAP: Final = 200_000_000
_FOLLOW_HEAP: Final = 15_000_000
_MARGIN: Final = 24
"""How many places more than asked are fetched: equal scores are put in order by id."""
_MAX_VALUES: Final = 50
_MAX_BUCKETS: Final = 1_000
_NEAR_ENTRIES: Final = 12
_MAX_CORRECTIONS: Final = 3
_RETIRED: Final = "RETIRED"
STATES: Final = ("DRAFT", "IN_REVIEW", "PUBLISHED", "DEPRECATED", "RETIRED")
Parts = list[tuple[Occur, Query]]


@dataclass(frozen=True, slots=True)
class _Terms:
    """The conditions of a question: who asks, the filter by facet, and what must not be there."""

    scope: Query
    by_facet: dict[str, Parts]
    text: Parts

    def parts(self, *, without: str | None = None) -> Parts:
        """All conditions, without the filter of one facet."""
        found: Parts = [(Occur.Must, silent(self.scope)), *self.text]
        for facet, parts in self.by_facet.items():
            if facet != without:
                found += parts
        return found


class EntryIndex:
    """An index in memory; a searcher sees the state of one moment."""

    def __init__(self, synonyms: Synonyms | None = None) -> None:
        self.synonyms = synonyms or Synonyms()
        self._schema = make_schema()
        self._index = Index(self._schema)
        for name, analyzer in analyzers().items():
            self._index.register_tokenizer(name, analyzer)
        self._index.config_reader("manual")
        self._ranking = Ranking(self._schema)
        self._maker = DocumentMaker()
        self._writer: IndexWriter | None = None
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        """How many entries it has."""
        return self._index.searcher().num_docs

    def build(self, entries: Iterable[IndexedEntry]) -> None:
        """Add entries of which it has none, in one go."""
        with self.building() as add:
            add(entries)

    @contextmanager
    def building(self) -> Iterator[Callable[[Iterable[IndexedEntry]], None]]:
        """Add entries of which it has none, portion by portion; found at the end of the context."""
        writer = self._index.writer(_BUILD_HEAP, num_threads=2)

        def add(entries: Iterable[IndexedEntry]) -> None:
            for entry in entries:
                writer.add_document(self._maker.document(entry))

        with self._lock:
            yield add
            writer.commit()
            writer.wait_merging_threads()
            self._index.reload()

    def apply(self, changed: Iterable[IndexedEntry], gone: Iterable[UUID] = ()) -> None:
        """Replace entries as they are now, and remove others; doing it again changes nothing."""
        with self._lock:
            if self._writer is None:
                self._writer = self._index.writer(_FOLLOW_HEAP, num_threads=1)
            for ident in gone:
                self._writer.delete_documents_by_term("id", ident.hex)
            for entry in changed:
                self._writer.delete_documents_by_term("id", entry.id.hex)
                self._writer.add_document(self._maker.document(entry))
            self._writer.commit()
            self._index.reload()

    def close(self) -> None:
        """Stop the threads of its writer."""
        with self._lock:
            if self._writer is not None:
                self._writer.wait_merging_threads()
                self._writer = None

    # ------------------------------------------------------------ asked

    def find(self, question: Question) -> Found:
        """The page that is asked for, with the number of all that is found.

        Entries are found by what is needed of the words; among them, what else is found decides on
        the place.
        """
        searcher = self._index.searcher()
        terms = self._terms(question)
        if question.after is not None:
            plan = question.after.plan
        else:
            plan = self._plan(searcher, question.parsed, terms)
        query = Query.boolean_query(
            [*terms.parts(), *self._needed(question.parsed, plan), *self._ranked(question, plan)]
        )
        page = _Page(searcher, query, question, plan).read()
        if question.facets:
            return replace(page, facets=self._facets(searcher, question, plan, terms))
        return page

    def count(self, question: Question) -> Found:
        """How many entries are found, without them."""
        searcher = self._index.searcher()
        terms = self._terms(question)
        plan = self._plan(searcher, question.parsed, terms)
        needed = self._needed(question.parsed, plan)
        total = _count(searcher, Query.boolean_query([*terms.parts(), *needed]))
        facets = self._facets(searcher, question, plan, terms) if question.facets else {}
        return Found((), total, has_next=False, plan=plan, facets=facets)

    def complete(self, reader: Reader, text: str, *, most: int = 10) -> list[str]:
        """How the last part of a text may go on, by what the reader may read."""
        before, _, last = text.rpartition(" ")
        start = f"{before} " if before else ""
        name, colon, value = last.partition(":")
        searcher, scope = self._index.searcher(), reader.entries(self._schema)
        sign, name = ("-", name[1:]) if name.startswith("-") else ("", name)
        if colon and name.lower() in QUALIFIERS:
            facet = QUALIFIERS[name.lower()]
            values = self._values(searcher, facet, value, reader, most)
            return [f"{start}{sign}{name}:{each}" for each in values]
        found = [
            f"{start}{sign}{each}:" for each in QUALIFIERS if last and each.startswith(name.lower())
        ]
        words = [fold(word) for word in words_in(name)]
        if words:
            terms = searcher.terms_with_prefix("names", words[-1], scope, most)
            found += [start + term for term, number in terms if number and term not in STOP_WORDS]
        return found[:most]

    def _values(
        self, searcher: Searcher, facet: str, begun: str, reader: Reader, most: int
    ) -> list[str]:
        if facet == "lifecycles":
            states = [each for each in STATES if each.startswith(begun.upper())]
            scope = reader.entries(self._schema)
            return [
                each.lower()
                for each in states
                if _count(searcher, both(scope, reader.versions(self._schema, each)))
            ]
        capital = facet in {"kinds", "dataClasses"}
        wanted = begun.upper() if capital else begun
        found = searcher.terms_with_prefix(
            FACETS[facet], wanted, reader.entries(self._schema), most
        )
        return [value.lower() if capital else value for value, number in found if number]

    # ------------------------------------------------------------ conditions

    def _terms(self, question: Question) -> _Terms:
        by_facet: dict[str, Parts] = {}
        criteria = [*question.criteria, *map(_criterion, question.parsed.qualifiers)]
        for each in criteria:
            occur = Occur.MustNot if each.negated else Occur.Must
            query = silent(self._criterion(question.reader, each))
            by_facet.setdefault(each.facet, []).append((occur, query))
        if not any(each.facet == "lifecycles" and not each.negated for each in criteria):
            retired = Query.term_query(self._schema, "lifecycle", _RETIRED, "basic")
            by_facet.setdefault("lifecycles", []).append((Occur.MustNot, retired))
        text: Parts = [
            (Occur.MustNot, self._ranking.phrase(words)) for words in question.parsed.excluded
        ]
        text += must(*(self._ranking.phrase(words) for words in question.parsed.phrases))
        return _Terms(question.reader.entries(self._schema), by_facet, text)

    def _criterion(self, reader: Reader, wanted: Criterion) -> Query:
        if wanted.facet == "lifecycles":
            return either([reader.versions(self._schema, each) for each in wanted.values])
        name, values = FACETS[wanted.facet], list(wanted.values)
        if wanted.facet != "systems":
            return Query.term_set_query(self._schema, name, values)
        short = [each for each in values if "/" not in each]
        refs = Query.term_set_query(self._schema, name, values)
        return either([refs, Query.term_set_query(self._schema, "system_name", short)])

    def _needed(self, parsed: ParsedText, plan: Plan) -> Parts:
        """What an entry must have of the words."""
        if plan.mode is Mode.NONE:
            return [(Occur.Must, Query.empty_query())]
        if not parsed.words:
            return []
        if plan.mode is Mode.MOST:
            parts = [
                (Occur.Should, self._match(each, plan))
                for each in single_units(parsed, self.synonyms, plan.weights)
            ]
            least = Query.boolean_query(parts, minimum_number_should_match=plan.least)
            return must(silent(least))
        return must(*(silent(self._match(each, plan)) for each in units_of(parsed, self.synonyms)))

    def _ranked(self, question: Question, plan: Plan) -> Parts:
        """What decides on the place of an entry."""
        if question.by is not By.SCORE:
            return []
        parsed = question.parsed
        units = units_of(parsed, self.synonyms)
        if plan.mode is Mode.MOST:
            pieces = [each for each in units if len(each.words) > 1]
            units = [*single_units(parsed, self.synonyms, plan.weights), *pieces]
        scored = [self._scored(unit, plan) for unit in units]
        return [(Occur.Should, each) for each in (*scored, *self._ranking.lifts(parsed))]

    def _match(self, unit: Unit, plan: Plan) -> Query:
        choices = [self._ranking.match(each) for each in self._meant(unit, plan)]
        if plan.mode is Mode.TYPED and unit.typed:
            choices.append(self._ranking.begins("words", unit.words[-1]))
        return either(choices)

    def _scored(self, unit: Unit, plan: Plan) -> Query:
        choices = [self._ranking.unit(each) for each in self._meant(unit, plan)]
        if plan.mode is Mode.TYPED and unit.typed:
            choices += self._ranking.prefixes(unit.words[-1])
        return choices[0] if len(choices) == 1 else Query.disjunction_max_query(choices)

    def _meant(self, unit: Unit, plan: Plan) -> Iterator[Unit]:
        """The unit, and those that its words were probably meant to be."""
        yield unit
        if any(word in plan.corrected for word in unit.words):
            most = max(len(plan.corrected.get(word, ())) for word in unit.words)
            for place in range(most):
                words = tuple(_nth(plan.corrected.get(w, (w,)), place) for w in unit.words)
                yield Unit(words, self.synonyms.others(words), weight=unit.weight)

    # ------------------------------------------------------------ plans

    def _plan(self, searcher: Searcher, parsed: ParsedText, terms: _Terms) -> Plan:
        """How the text is understood: all words, else with corrections, else most words."""

        def found(plan: Plan) -> bool:
            query = Query.boolean_query([*terms.parts(), *self._needed(parsed, plan)])
            return _any(searcher, query)

        if not parsed.words or found(Plan()):
            return Plan()
        typed = parsed.typed
        if typed and len(typed) < MIN_PREFIX and not self.synonyms.others((typed,)):
            plan = Plan(Mode.TYPED)
            if found(plan):
                return plan
        return self._loose_plan(searcher, parsed, terms, found)

    def _loose_plan(
        self,
        searcher: Searcher,
        parsed: ParsedText,
        terms: _Terms,
        found: Callable[[Plan], bool],
    ) -> Plan:
        counts: dict[str, int] = {}
        corrected: dict[str, tuple[str, ...]] = {}
        for unit in single_units(parsed, self.synonyms, {}):
            (word,) = unit.words
            matching = must(silent(self._ranking.match(unit)))
            counts[word] = _count(searcher, Query.boolean_query([*terms.parts(), *matching]))
            if not counts[word]:
                meant = self._corrections(searcher, word, terms)
                if meant:
                    corrected[word] = meant
        if corrected:
            plan = Plan(Mode.NEAR, corrected)
            if found(plan):
                return plan
        if len(parsed.words) > 1:
            weights = _weights(counts)
            for least in range(len(parsed.words) - 1, 0, -1):
                plan = Plan(Mode.MOST, corrected, weights, least)
                if found(plan):
                    return plan
        return Plan(Mode.NONE, corrected)

    def _corrections(self, searcher: Searcher, word: str, terms: _Terms) -> tuple[str, ...]:
        """The words that were probably meant, of entries that the reader may read."""
        most = edits_allowed(word)
        if not most:
            return ()
        hits: list[tuple[Any, DocAddress]] = []
        for name in ("names", "words"):
            near = must(silent(self._ranking.near(name, word)))
            query = Query.boolean_query([*terms.parts(), *near])
            hits = hits or searcher.search(query, _NEAR_ENTRIES, count=False).hits
        seen: dict[str, tuple[int, int]] = {}
        for place, (_, address) in enumerate(hits):
            text = searcher.doc(address).get_first("words") or ""
            for each in text.split():
                for known in words_in(each):
                    folded = fold(known)
                    far = edits(word, folded, most)
                    if far <= most and folded != word:
                        seen[folded] = min(seen.get(folded, (far, place)), (far, place))
        ranked = sorted(seen, key=lambda each: (seen[each], each))
        least = min((far for far, _ in seen.values()), default=0)
        return tuple(each for each in ranked if seen[each][0] == least)[:_MAX_CORRECTIONS]

    # ------------------------------------------------------------ facets

    def _facets(
        self, searcher: Searcher, question: Question, plan: Plan, terms: _Terms
    ) -> dict[str, dict[str, int]]:
        """The numbers by value; each facet ignores its own filter."""
        wanted = self._needed(question.parsed, plan)
        counted: dict[str, dict[str, int]] = {}
        free = [facet for facet in FACETS if facet not in terms.by_facet]
        groups = [(None, free), *((facet, [facet]) for facet in FACETS if facet in terms.by_facet)]
        for without, facets in groups:
            if not facets:
                continue
            query = Query.boolean_query([*terms.parts(without=without), *wanted])
            asked = {
                facet: {
                    "terms": {
                        "field": FACETS[facet],
                        "size": _MAX_BUCKETS,
                        "segment_size": _MAX_BUCKETS,
                    }
                }
                for facet in facets
            }
            answered = searcher.aggregate(query, asked)
            for facet in facets:
                buckets = answered[facet]["buckets"]
                counted[facet] = {each["key"]: each["doc_count"] for each in buckets}
            if "lifecycles" in facets:
                self._mixed_states(searcher, question.reader, query, counted["lifecycles"])
        return {
            facet: dict(sorted(values.items(), key=lambda e: (-e[1], e[0]))[:_MAX_VALUES])
            for facet, values in ((facet, counted[facet]) for facet in FACETS)
        }

    def _mixed_states(
        self, searcher: Searcher, reader: Reader, query: Query, counted: dict[str, int]
    ) -> None:
        """Add the states of entries of which the reader may read some versions and not others."""
        mixed = both(Query.term_query(self._schema, "mixed", "yes", "basic"), query)
        if not _count(searcher, mixed):
            return
        for state in STATES:
            number = _count(searcher, both(mixed, reader.versions(self._schema, state)))
            if number:
                counted[state] = counted.get(state, 0) + number


class _Page:
    """Reads a page by its place; equal keys are put in order by id."""

    def __init__(self, searcher: Searcher, query: Query, question: Question, plan: Plan) -> None:
        self._searcher = searcher
        self._query = query
        self._question = question
        self._plan = plan
        self._descending = question.by is not By.TITLE

    def read(self) -> Found:
        """The page, and how many are found in all."""
        first, after = self._question.first, self._question.after
        offset = max(after.seen - _MARGIN, 0) if after else 0
        limit = (after.seen - offset if after else 0) + first + 1 + _MARGIN
        while True:
            ranked, total, full = self._window(offset, limit)
            start = 0
            if after is not None:
                start = sum(not self._beyond(key, ident, after) for key, ident in ranked)
            if offset and start == 0:  # what stood before the place has become less
                offset, limit = max(offset - limit, 0), limit * 2
                continue
            if full and len(ranked) - start <= first:
                limit *= 2
                continue
            break
        rows = ranked[start : start + first]
        places = tuple(
            Place(key, ident, offset + start + number + 1, self._plan)
            for number, (key, ident) in enumerate(rows)
        )
        return Found(places, total, len(ranked) - start > first, self._plan)

    def _window(self, offset: int, limit: int) -> tuple[list[tuple[Any, UUID]], int, bool]:
        """Entries in order, from an offset on; the last of equal ones are left out if cut."""
        by = self._question.by
        if by is By.SCORE:
            result: Any = self._searcher.search(
                self._query, limit, count=True, offset=offset, weight_by_field="lift"
            )
        else:
            order = Order.Desc if self._descending else Order.Asc
            result = self._searcher.search(
                self._query, limit, count=True, offset=offset, order_by_field=by.value, order=order
            )
        hits = result.hits
        full = len(hits) == limit
        keyed = _in_order(self._searcher, hits, descending=self._descending)
        if full:
            last = hits[-1][0]
            whole = [each for each in keyed if each[0] != last]
            keyed = whole or keyed
        return keyed, result.count, full

    def _beyond(self, key: Any, ident: UUID, after: Place) -> bool:
        if key != after.key:
            return bool(key < after.key) is self._descending
        return bool(ident < after.id) is self._descending and ident != after.id


def _in_order(
    searcher: Searcher, hits: Sequence[tuple[Any, DocAddress]], *, descending: bool
) -> list[tuple[Any, UUID]]:
    addresses = [address for _, address in hits]
    highs: list[Any] = searcher.fast_field_values("id_high", addresses)
    lows: list[Any] = searcher.fast_field_values("id_low", addresses)
    found = [
        (key, UUID(int=(high << 64) | low))
        for (key, _), high, low in zip(hits, highs, lows, strict=True)
    ]
    if any(one[0] == other[0] for one, other in pairwise(found)):
        found.sort(reverse=descending)
    return found


def _count(searcher: Searcher, query: Query) -> int:
    result: Any = searcher.search(query, 1, count=True)
    return int(result.count)


def _criterion(qualifier: Qualifier) -> Criterion:
    return Criterion(qualifier.facet, (qualifier.value,), qualifier.negated)


def _any(searcher: Searcher, query: Query) -> bool:
    return bool(searcher.search(query, 1, count=False).hits)


def _weights(counts: Mapping[str, int]) -> dict[str, float]:
    """How much each word says: rare ones more."""
    most = max(counts.values(), default=0) or 1
    return {
        word: 1.0 + min((most // number).bit_length() - 1, 8) / 4 if number else 1.0
        for word, number in counts.items()
    }


def _nth(choices: tuple[str, ...], place: int) -> str:
    return choices[min(place, len(choices) - 1)]
