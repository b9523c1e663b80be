"""The judged queries: those written by people, and names with a typing error or half typed."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

FILE: Final = Path(__file__).with_name("search_judged.yaml")
DEPTH: Final = 10
LONG: Final = 5
"""The letters of a word from which on somebody mistypes it."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A query and the gain of each entry that answers it; `test` is whether it is held back."""

    kind: str
    text: str
    gains: dict[str, int]

    @property
    def test(self) -> bool:
        """Whether nothing was tuned on it."""
        return hashlib.sha256(self.text.encode()).digest()[0] % 2 == 1

    def ndcg(self, refs: Sequence[str]) -> float:
        """How good the first ten are, from 0 to 1: the normalized discounted cumulative gain."""
        best = _discounted(sorted(self.gains.values(), reverse=True))
        return _discounted([self.gains.get(ref, 0) for ref in refs]) / best

    def reciprocal(self, refs: Sequence[str]) -> float:
        """1 by the place of the first right entry of the first ten, else 0."""
        places = [n for n, ref in enumerate(refs[:DEPTH], 1) if self.gains.get(ref, 0) > 1]
        return 1 / places[0] if places else 0.0

    def right_first(self, refs: Sequence[str]) -> bool:
        """Whether the first entry is right."""
        return bool(refs) and self.gains.get(refs[0], 0) > 1


def judged(known: Sequence[str]) -> list[Judged]:
    """All queries, with the entries that are known."""
    written = yaml.safe_load(FILE.read_text())
    found = [
        Judged(kind, str(each["q"]), _gains(each, known))
        for kind, queries in written.items()
        for each in queries
    ]
    names = [each for each in found if each.kind == "name" and "/" not in each.text]
    for place, name in enumerate(names):
        if (typo := _typo(name.text, place)) != name.text:
            found.append(Judged("typo", typo, name.gains))
        if (prefix := _prefix(name.text)) != name.text:
            found.append(Judged("prefix", prefix, name.gains))
    return found


def _gains(query: dict[str, list[str]], known: Sequence[str]) -> dict[str, int]:
    gains: dict[str, int] = {}
    for member, gain in (("near", 1), ("right", 3)):
        for pattern in query.get(member, ()):
            refs = list(_matching(pattern, known))
            gains.update(dict.fromkeys(refs, gain))
    assert any(gain > 1 for gain in gains.values()), f"nothing answers {query['q']!r}"
    return gains


def _matching(pattern: str, known: Sequence[str]) -> Iterator[str]:
    if pattern.endswith("*"):
        yield from (ref for ref in known if ref.startswith(pattern[:-1]))
    elif pattern in known:
        yield pattern


def _discounted(gains: Sequence[int]) -> float:
    return sum(gain / math.log2(place + 1) for place, gain in enumerate(gains[:DEPTH], 1))


def _typo(text: str, place: int) -> str:
    """The text with an error in its longest word: transposed, dropped, doubled or replaced."""
    word = max(text.split(), key=len)
    if len(word) < LONG or not word.isalpha():
        return text
    at = len(word) // 2
    wrong = (
        word[: at - 1] + word[at] + word[at - 1] + word[at + 1 :],
        word[:at] + word[at + 1 :],
        word[:at] + word[at] + word[at:],
        word[:at] + ("x" if word[at] != "x" else "y") + word[at + 1 :],
    )[place % 4]
    return text.replace(word, wrong, 1)


def _prefix(text: str) -> str:
    """The text as it stands while its last word is typed."""
    head, _, word = text.rpartition(" ")
    return f"{head} {word[: max(3, math.ceil(len(word) * 0.6))]}".strip()
