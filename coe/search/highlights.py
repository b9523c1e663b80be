"""Highlights: readable fragments of what was found, HTML-escaped, each match in <mark>."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from coe.search.asking import Mode, Plan
from coe.search.parsing import ParsedText
from coe.search.ranking import MIN_PREFIX, edits_allowed, units_of
from coe.search.synonyms import Synonyms
from coe.search.words import edits, fold, stems

_WORD: Final = re.compile(r"[^\W_]+")
_CAMEL: Final = re.compile(r"(?<=[a-z])(?=[A-Z][a-z])")
_FRAGMENT: Final = 160
"""The letters of a fragment, about."""
MAX_FRAGMENTS: Final = 4


@dataclass(frozen=True, slots=True)
class Highlight:
    """A fragment of a field, escaped for HTML, with each match in <mark>."""

    field: str
    fragment: str


class Highlighter:
    """Marks the words of a text that was understood by a plan."""

    def __init__(self, parsed: ParsedText, plan: Plan, synonyms: Synonyms) -> None:
        wanted = {word for phrase in parsed.phrases for word in phrase}
        for unit in units_of(parsed, synonyms):
            wanted.update(unit.words)
            wanted.update(word for other in unit.others for word in other)
        for meant in plan.corrected.values():
            wanted.update(meant)
        self._stems = frozenset(each for word in wanted for each in stems(word))
        self._typed = parsed.typed or ""
        if len(self._typed) < MIN_PREFIX and plan.mode is not Mode.TYPED:
            self._typed = ""
        self._near = [(word, edits_allowed(word)) for word in plan.corrected if edits_allowed(word)]
        self._known: dict[str, bool] = {}

    def highlights(self, fields: Iterable[tuple[str, str]]) -> tuple[Highlight, ...]:
        """The fields in which something matches, each with its best fragment."""
        found: list[Highlight] = []
        for name, text in fields:
            fragment = self.fragment(text)
            if fragment:
                found.append(Highlight(name, fragment))
                if len(found) == MAX_FRAGMENTS:
                    break
        return tuple(found)

    def fragment(self, text: str) -> str | None:
        """The part of a text with the most matches; None without one."""
        spans = [match.span() for match in _WORD.finditer(text) if self._matches(match.group())]
        if not spans:
            return None
        begin, end = _around(text, spans)
        parts = ["… " if begin else ""]
        at = begin
        for start, stop in spans:
            if start < begin or stop > end:
                continue
            parts += [html.escape(text[at:start]), "<mark>", html.escape(text[start:stop])]
            parts.append("</mark>")
            at = stop
        parts += [html.escape(text[at:end]), " …" if end < len(text) else ""]
        return " ".join("".join(parts).split())

    def _matches(self, word: str) -> bool:
        known = self._known.get(word)
        if known is None:
            known = self._known[word] = any(map(self._match, {word, *_CAMEL.split(word)}))
        return known

    def _match(self, word: str) -> bool:
        folded = fold(word)
        if not folded:
            return False
        if self._typed and folded.startswith(self._typed):
            return True
        if not self._stems.isdisjoint(stems(folded)):
            return True
        return any(edits(near, folded, most) <= most for near, most in self._near)


def _around(text: str, spans: list[tuple[int, int]]) -> tuple[int, int]:
    """A stretch of the text with as many matches as possible, from one word's start to an end."""
    if len(text) <= _FRAGMENT * 3 // 2:
        return 0, len(text)
    best = max(
        range(len(spans)),
        key=lambda n: (sum(s[0] - spans[n][0] < _FRAGMENT - 40 for s in spans[n:]), -n),
    )
    begin = max(spans[best][0] - 40, 0)
    if begin:
        begin = text.find(" ", begin, spans[best][0]) + 1 or spans[best][0]
    end = min(begin + _FRAGMENT, len(text))
    if end < len(text):
        end = max(text.rfind(" ", spans[best][1], end), spans[best][1])
    return begin, end
