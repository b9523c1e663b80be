"""The query of a text: each field weighs, the words of kinds lift, and every score is exact.

All weights are whole sixteenths and depend on the text and the entry alone, not on how often a word
occurs among all entries: a score stays the same while other entries change, so that it can be the
place in a cursor, and it tells nothing of entries that the caller may not read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from tantivy import Occur, Query, Schema

from coe.search.entries import exact
from coe.search.parsing import KIND_WORDS, ParsedText
from coe.search.reach import both, either
from coe.search.synonyms import Phrase, Synonyms
from coe.search.words import stems, words_in

WEIGHTS: Final = {
    "title": 8.0,
    "tags": 4.0,
    "summary": 3.0,
    "parameters": 2.5,
    "steps": 2.0,
    "body": 1.5,
}
EXACT_REF: Final = 128.0
EXACT_TITLE: Final = 64.0
TITLE_PHRASE: Final = 8.0
PHRASES: Final = {"summary": 4.0, "parameters": 8.0, "steps": 4.0, "body": 2.0}
PREFIX: Final = {"names": 4.0, "words": 1.0}
SYNONYM: Final = 0.75
KIND: Final = 3.0
SOFT: Final = 0.125
OTHER_FIELDS: Final = 0.125
"""How much the fields beside the best one count."""
MIN_PREFIX: Final = 3
MIN_FUZZY: Final = 5
TWO_EDITS: Final = 9
"""From this length on, two letters may be wrong."""


def edits_allowed(word: str) -> int:
    """How many letters of a word may be wrong; numbers must be right."""
    if len(word) < MIN_FUZZY or not word.isalpha():
        return 0
    return 2 if len(word) >= TWO_EDITS else 1


@dataclass(frozen=True, slots=True)
class Unit:
    """Words in a row that must be found, or one of the other phrases for them.

    `typed` is whether the last word may go on; `weight` is how much the unit says.
    """

    words: Phrase
    others: tuple[Phrase, ...] = ()
    typed: bool = False
    weight: float = 1.0


class Ranking:
    """Makes queries for the fields of the index."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema

    def match(self, unit: Unit) -> Query:
        """The entries that have the words of a unit, or others for them; without a score."""
        last = len(unit.words) - 1
        own = [
            self._has(word, typed=unit.typed and place == last)
            for place, word in enumerate(unit.words)
        ]
        choices = [both(*own)]
        choices += [both(*map(self._has, phrase)) for phrase in unit.others]
        return either(choices)

    def _has(self, word: str, *, typed: bool = False) -> Query:
        found = [self._term("stems", each) for each in stems(word)]
        if typed and len(word) >= MIN_PREFIX:
            found.append(self.begins("words", word))
        return either(found)

    def unit(self, unit: Unit) -> Query:
        """How well an entry has the words of a unit, or others for them."""
        last = len(unit.words) - 1
        own = [
            self.word(word, typed=unit.typed and place == last)
            for place, word in enumerate(unit.words)
        ]
        choices = [both(*own)]
        for phrase in unit.others:
            share = _sixteenths(SYNONYM / len(phrase) * len(unit.words))
            choices.append(both(*(_boosted(self.word(word), share) for word in phrase)))
        return _boosted(_best(choices), unit.weight)

    def word(self, word: str, *, typed: bool = False) -> Query:
        """Where a word is found, the best field first; if typed, words that it begins too."""
        found = [_const(self.in_field(name, word), weight) for name, weight in WEIGHTS.items()]
        if typed and len(word) >= MIN_PREFIX:
            found += self.prefixes(word)
        return _best(found)

    def prefixes(self, word: str) -> list[Query]:
        """Where words begin with this."""
        return [_const(self.begins(name, word), weight) for name, weight in PREFIX.items()]

    def near(self, name: str, word: str) -> Query:
        """The entries with a word in a field that differs in few letters."""
        most = edits_allowed(word)
        return _const(Query.fuzzy_term_query(self._schema, name, word, most), 1.0)

    def in_field(self, name: str, word: str) -> Query:
        """Where a field has a word, in any language."""
        return either([self._term(name, each) for each in stems(word)])

    def phrase(self, words: Phrase) -> Query:
        """Where the words stand one after the other."""
        found = []
        for name, weight in WEIGHTS.items():
            for language in range(2):
                chosen = [stems(word)[min(language, len(stems(word)) - 1)] for word in words]
                if len(chosen) == 1:
                    query = Query.term_query(self._schema, name, chosen[0], "basic")
                else:
                    query = Query.phrase_query(self._schema, name, list(chosen))
                found.append(_const(query, weight))
        return _best(found)

    def lifts(self, parsed: ParsedText) -> Iterator[Query]:
        """What lifts an entry that has the words anyway."""
        whole = parsed.whole.strip()
        if not whole:
            return
        yield _const(self._term("ref", whole.lower()), EXACT_REF)
        title = exact(whole)
        if title:
            yield _const(self._term("exact_title", title), EXACT_TITLE)
        in_order = [stems(word)[0] for word in words_in(whole) if stems(word)]
        if len(in_order) > 1:
            yield _const(Query.phrase_query(self._schema, "title", list(in_order)), TITLE_PHRASE)
            for name, weight in PHRASES.items():
                yield _const(Query.phrase_query(self._schema, name, list(in_order), 1), weight)
        for word in parsed.soft:
            kinds = [self._term("kind", kind) for kind in KIND_WORDS[word]]
            yield _const(either(kinds), KIND)
            if word not in parsed.words:
                yield _boosted(self.word(word), SOFT)

    def begins(self, name: str, word: str) -> Query:
        """The entries with a word in a field that begins so."""
        return Query.fuzzy_term_query(
            self._schema, name, word, 0, transposition_cost_one=False, prefix=True
        )

    def _term(self, name: str, value: str) -> Query:
        return Query.term_query(self._schema, name, value, "basic")


def units_of(parsed: ParsedText, synonyms: Synonyms) -> list[Unit]:
    """The words in units that synonyms know, else one by one."""
    return [
        Unit(piece, others, typed=parsed.typed is not None and piece[-1] == parsed.typed)
        for piece, others in synonyms.spans(parsed.words)
    ]


def single_units(
    parsed: ParsedText, synonyms: Synonyms, weights: Mapping[str, float]
) -> list[Unit]:
    """One unit a word, for entries that need not have them all."""
    return [
        Unit(
            (word,),
            synonyms.others((word,)),
            typed=word == parsed.typed,
            weight=weights.get(word, 1.0),
        )
        for word in parsed.words
    ]


def _const(query: Query, score: float) -> Query:
    return Query.const_score_query(query, score)


def _boosted(query: Query, factor: float) -> Query:
    return query if factor == 1.0 else Query.boost_query(query, factor)


def _best(choices: list[Query]) -> Query:
    if len(choices) == 1:
        return choices[0]
    return Query.disjunction_max_query(choices, tie_breaker=OTHER_FIELDS)


def _sixteenths(share: float) -> float:
    return max(round(share * 16), 1) / 16


def silent(query: Query) -> Query:
    """A condition that adds nothing to the score."""
    return Query.const_score_query(query, 0.0)


def must(*queries: Query) -> list[tuple[Occur, Query]]:
    """Each as a condition."""
    return [(Occur.Must, each) for each in queries]
