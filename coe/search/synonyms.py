"""Words of one meaning, from `catalog/synonyms.yaml`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, Final

from coe.search.words import STOP_WORDS, fold, stem, words_in

Phrase = tuple[str, ...]
MAX_SPAN: Final = 4
"""The most words of a synonym, without those that say nothing."""


class SynonymsRefused(ValueError):
    """A list of synonyms cannot be read; the message says where."""


class Synonyms:
    """What else somebody may mean by a word, or by some words in a row."""

    def __init__(self, groups: Iterable[object] = ()) -> None:
        """`groups` are lists of equal phrases, or mappings with `say` and `mean` for one way.

        Raises:
            SynonymsRefused: A group has another form.
        """
        self._others: defaultdict[Phrase, dict[Phrase, None]] = defaultdict(dict)
        self.groups = 0
        for place, group in enumerate(groups):
            said, meant = _sides(group, place)
            self.groups += 1
            for phrase in said:
                others = [each for each in meant if each != phrase]
                for key in _keys(phrase):
                    self._others[key].update(dict.fromkeys(others))

    @classmethod
    def of(cls, document: Any) -> Synonyms:
        """The synonyms of a document with the member `synonyms`.

        Raises:
            SynonymsRefused: The document has another form.
        """
        groups = document.get("synonyms") if isinstance(document, dict) else None
        if not isinstance(groups, list):
            message = "synonyms: must be a list of groups, such as `- [PO, purchase order]`"
            raise SynonymsRefused(message)
        return cls(groups)

    def spans(self, words: tuple[str, ...]) -> Iterator[tuple[Phrase, tuple[Phrase, ...]]]:
        """The words in pieces, the longest known ones first, each with what else it may mean."""
        at = 0
        while at < len(words):
            longest = min(MAX_SPAN, len(words) - at)
            for length in range(longest, 0, -1):
                piece = words[at : at + length]
                others = self.others(piece)
                if others or length == 1:
                    yield piece, others
                    at += length
                    break

    def others(self, piece: Phrase) -> tuple[Phrase, ...]:
        """What else the words may mean."""
        found: dict[Phrase, None] = {}
        for key in _keys(piece):
            found.update(self._others.get(key, {}))
        return tuple(found)


def _sides(group: object, place: int) -> tuple[list[Phrase], list[Phrase]]:
    match group:
        case [_, _, *_]:
            phrases = _phrases(group, f"synonyms/{place}")
            return phrases, phrases
        case {"say": [_, *_] as said, "mean": [_, *_] as meant}:
            return (
                _phrases(said, f"synonyms/{place}/say"),
                _phrases(meant, f"synonyms/{place}/mean"),
            )
        case _:
            message = (
                f"synonyms/{place}: must be a list of two or more phrases of one meaning, or a "
                "mapping with the lists `say` and `mean`"
            )
            raise SynonymsRefused(message)


def _phrases(texts: Iterable[object], where: str) -> list[Phrase]:
    found = []
    for place, text in enumerate(texts):
        phrase = phrase_of(str(text))
        if not 0 < len(phrase) <= MAX_SPAN:
            message = (
                f"{where}/{place}: {text!r} must have 1 to {MAX_SPAN} words that say something"
            )
            raise SynonymsRefused(message)
        found.append(phrase)
    return found


def phrase_of(text: str) -> Phrase:
    """The folded words of a text, without those that say nothing."""
    words = [fold(word) for word in words_in(text)]
    return tuple(word for word in words if word and word not in STOP_WORDS)


def _keys(phrase: Phrase) -> set[Phrase]:
    return {tuple(stem(word, "en") for word in phrase), tuple(stem(word, "de") for word in phrase)}
