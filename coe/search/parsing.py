"""What somebody typed: words, phrases, what is excluded, and qualifiers such as `owner:sales`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from coe.search.words import STOP_WORDS, fold, words_in

MAX_TEXT_LENGTH: Final = 200
MAX_WORDS: Final = 12
_PART: Final = re.compile(
    r"(?P<minus>(?<!\S)-)?(?:(?P<name>[a-z]+):)?(?:\"(?P<quoted>[^\"]*)\"?|(?P<bare>[^\s\"]+))",
    re.IGNORECASE,
)
QUALIFIERS: Final = {
    "kind": "kinds",
    "owner": "owners",
    "team": "owners",
    "tag": "tags",
    "domain": "domains",
    "system": "systems",
    "lifecycle": "lifecycles",
    "is": "lifecycles",
    "class": "dataClasses",
}
"""The qualifiers, each with the facet whose values it takes."""
_CAPITALS: Final = frozenset({"kinds", "lifecycles", "dataClasses"})
KIND_WORDS: Final = {
    **dict.fromkeys(("template", "templates", "vorlage", "vorlagen"), ("TEMPLATE",)),
    **dict.fromkeys(
        ("flow", "flows", "workflow", "workflows", "process", "processes", "prozess", "prozesse"),
        ("FLOW", "TEMPLATE"),
    ),
    **dict.fromkeys(("ablauf", "procedure"), ("FLOW", "TEMPLATE")),
    **dict.fromkeys(("table", "tables", "tabelle", "decision", "rule", "rules"), ("DECISION",)),
    **dict.fromkeys(("system", "systems", "application"), ("SYSTEM",)),
    **dict.fromkeys(("lesson", "lessons"), ("LESSON",)),
}
"""Words that name a kind of entry: they lift it, and need not stand in it."""
_SUFFIXES: Final = ("prozess", "prozesse", "vorlage", "vorlagen", "ablauf", "tabelle")


@dataclass(frozen=True, slots=True)
class Qualifier:
    """A property of wanted entries; with `negated`, of those that are not wanted."""

    facet: str
    value: str
    negated: bool = False


@dataclass(frozen=True, slots=True)
class ParsedText:
    """A text: `words` are needed, `soft` words lift, `typed` is the last word if it may go on.

    All words are folded. `whole` is the text as typed, without its qualifiers.
    """

    whole: str = ""
    words: tuple[str, ...] = ()
    soft: tuple[str, ...] = ()
    typed: str | None = None
    phrases: tuple[tuple[str, ...], ...] = ()
    excluded: tuple[tuple[str, ...], ...] = ()
    qualifiers: tuple[Qualifier, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether there is nothing to find by."""
        return not (self.words or self.phrases or self.excluded or self.qualifiers)


def parse(text: str | None) -> ParsedText:
    """The parts of a text; no text is refused."""
    cleaned = " ".join((text or "").replace("\0", " ").split())[:MAX_TEXT_LENGTH]
    plain: list[str] = []
    phrases: list[tuple[str, ...]] = []
    excluded: list[tuple[str, ...]] = []
    qualifiers: list[Qualifier] = []
    for part in _PART.finditer(cleaned):
        name, quoted, minus = part["name"], part["quoted"], bool(part["minus"])
        value = quoted if quoted is not None else part["bare"]
        if name and name.lower() in QUALIFIERS and value:
            qualifiers.append(_qualifier(QUALIFIERS[name.lower()], value, negated=minus))
            continue
        if name:
            value = f"{name} {value}"
        words = tuple(_folded(value))
        if minus and words:
            excluded.append(words)
        elif quoted is not None and words:
            phrases.append(words)
        elif words:
            plain.append(value)
    return _of_words(plain, tuple(phrases), tuple(excluded), tuple(qualifiers))


def _of_words(
    plain: list[str],
    phrases: tuple[tuple[str, ...], ...],
    excluded: tuple[tuple[str, ...], ...],
    qualifiers: tuple[Qualifier, ...],
) -> ParsedText:
    every = list(dict.fromkeys(part for each in plain for part in _split(_folded(each))))
    soft = tuple(word for word in every if word in KIND_WORDS)
    words = [word for word in every if word not in STOP_WORDS and word not in KIND_WORDS]
    if not words and not phrases:
        words = list(soft) or every
    words = words[:MAX_WORDS]
    typed = words[-1] if words and every and words[-1] == every[-1] else None
    return ParsedText(" ".join(plain), tuple(words), soft, typed, phrases, excluded, qualifiers)


def _folded(text: str) -> Iterator[str]:
    for word in words_in(text):
        folded = fold(word)
        if folded:
            yield folded


def _split(words: Iterator[str]) -> Iterator[str]:
    """The words; a compound whose second part names a kind becomes two."""
    for word in words:
        suffix = next((s for s in _SUFFIXES if word.endswith(s) and len(word) > len(s) + 3), None)
        yield from (word.removesuffix(suffix), suffix) if suffix else (word,)


def _qualifier(facet: str, value: str, *, negated: bool) -> Qualifier:
    if facet in _CAPITALS:
        value = value.upper().replace("-", "_").replace(" ", "_")
    return Qualifier(facet, value.removeprefix("team:") if facet == "owners" else value, negated)
