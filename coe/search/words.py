"""Words of texts: split, folded, stemmed by language, without those that say nothing."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, Literal

from tantivy import Filter, TextAnalyzer, TextAnalyzerBuilder, Tokenizer

Language = Literal["en", "de"]
MAX_WORD_LENGTH: Final = 40
"""Longer words are not indexed."""
_CAMEL: Final = re.compile(r"(?<=[a-z])(?=[A-Z][a-z])")
_WORD: Final = re.compile(r"[^\W_]+")
_ENGLISH: Final = """
a about after again all also am an and any are as at be been before being but by can could did
do does doing done each for from get give had has have having her here him his how i if in
into is it its itself just let like made make many may me might more most much must my need no
nor not of on one or other our out over own same she should so some such than that the their
them then there these they this those through to too under until up us use used want was we
were what when where whether which while who whom whose why will with without would you your
"""
_GERMAN: Final = """
aber alle als am an auch auf aus bei bis das dass dem den der des die dies dieser durch ein
eine einem einen einer eines er es für hat ich ihr im in ist kann man mein mit muss nach nicht
noch nur oder sein sich sie sind über um und uns unser unter vom von vor was wenn wer werden
wie wir wird wo zu zum zur
"""
ENGLISH: Final = frozenset(_ENGLISH.split())
GERMAN: Final = frozenset(_GERMAN.split())


def analyzers() -> dict[str, TextAnalyzer]:
    """How the index splits texts: `en` and `de` stem, `plain` does not."""
    return {
        "en": _builder().filter(Filter.ascii_fold()).filter(Filter.stemmer("english")).build(),
        "de": _builder().filter(Filter.stemmer("german")).filter(Filter.ascii_fold()).build(),
        "plain": _builder().filter(Filter.ascii_fold()).build(),
    }


def _builder() -> TextAnalyzerBuilder:
    return (
        TextAnalyzerBuilder(Tokenizer.simple())
        .filter(Filter.remove_long(MAX_WORD_LENGTH))
        .filter(Filter.lowercase())
    )


_ANALYZERS: Final = analyzers()


def spaced(text: str) -> str:
    """The text with its compounds split: `checkCredit` becomes two words."""
    return _CAMEL.sub(" ", text)


def words_in(text: str) -> list[str]:
    """The words of a text as they stand in it, in order."""
    return _WORD.findall(spaced(text))


@lru_cache(maxsize=65_536)
def fold(word: str) -> str:
    """A word in lower case and without accents."""
    return " ".join(_ANALYZERS["plain"].analyze(word))


STOP_WORDS: Final = frozenset(fold(word) for word in ENGLISH | GERMAN)
"""Words that say nothing, folded."""


@lru_cache(maxsize=65_536)
def stem(word: str, language: Language) -> str:
    """The stem of a word."""
    return " ".join(_ANALYZERS[language].analyze(word))


@lru_cache(maxsize=65_536)
def stems(word: str) -> tuple[str, ...]:
    """The stems by which entries of any language have a word."""
    found = (stem(word, "en"), stem(word, "de"))
    return tuple(dict.fromkeys(each for each in found if each))


def language_of(text: str) -> Language:
    """The language of a text, by its most frequent words; English if they do not tell."""
    words = text.lower().split()
    english = sum(word in ENGLISH for word in words)
    german = sum(word in GERMAN for word in words)
    return "de" if german > english else "en"


def edits(one: str, other: str, most: int) -> int:
    """How many letters were inserted, dropped, replaced or transposed; above `most`, more."""
    if abs(len(one) - len(other)) > most:
        return most + 1
    before: list[int] = []
    row = list(range(len(other) + 1))
    for place, letter in enumerate(one, 1):
        line = [place]
        for at, against in enumerate(other, 1):
            cost = min(row[at] + 1, line[at - 1] + 1, row[at - 1] + (letter != against))
            swapped = place > 1 < at and letter == other[at - 2] and one[place - 2] == against
            line.append(min(cost, before[at - 2] + 1) if swapped else cost)
        before, row = row, line
    return row[-1]
