"""What the index knows of an entry."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from tantivy import Document, Schema, SchemaBuilder, TextAnalyzer

from coe.search.words import analyzers, fold, language_of, spaced, words_in

TEXTS: Final = ("title", "tags", "summary", "parameters", "steps", "body")
"""The fields with words, stemmed by the language of the entry, the weightiest first."""
_RAW: Final = (
    *("id", "ref", "exact_title", "lifecycle", "owners"),
    *("system_name", "states", "state_owners", "state_authors", "mixed"),
)
FACETS: Final = {
    "kinds": "kind",
    "owners": "team",
    "tags": "tag",
    "domains": "domain",
    "systems": "system",
    "lifecycles": "plain_states",
    "dataClasses": "data_class",
}
"""The facets, each with the field of its values."""
_FAST: Final = (*FACETS.values(), "by_title")
_FIRST_DAY: Final = 18_262
"""2020-01-01 in days."""
_MAX_TEXT: Final = 20_000
_MOST_USES: Final = (1 << 20) - 1


@dataclass(frozen=True, slots=True)
class VersionState:
    """A version of an entry: its state, and what decides on who may read it."""

    state: str
    data_class: str
    owners: tuple[str, ...] = ()
    authors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class IndexedEntry:
    """An entry as its current version describes it; `versions` are all that it has."""

    id: UUID
    namespace: str
    name: str
    kind: str
    team: str
    title: str
    summary: str
    data_class: str
    lifecycle: str
    updated_at: datetime
    uses: int = 0
    tags: tuple[str, ...] = ()
    systems: tuple[str, ...] = ()
    domain: str | None = None
    owners: tuple[str, ...] = ()
    description: str = ""
    parameters: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()
    versions: tuple[VersionState, ...] = ()

    @property
    def ref(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"

    def texts(self) -> dict[str, str]:
        """The words of each field."""
        tagged = [*self.tags, self.domain or "", *self.systems, self.team]
        return {
            "title": spaced(f"{self.title} {self.name}"),
            "tags": spaced(" ".join(tagged)),
            "summary": spaced(self.summary),
            "parameters": spaced(" ".join(self.parameters))[:_MAX_TEXT],
            "steps": spaced(" ".join(self.steps))[:_MAX_TEXT],
            "body": spaced(self.description)[:_MAX_TEXT],
        }


def make_schema() -> Schema:
    """The fields of the index."""
    builder = SchemaBuilder()
    for name in TEXTS:
        builder.add_text_field(name, tokenizer_name="en", index_option="position")
    builder.add_text_field("stems", tokenizer_name="en", index_option="basic")
    builder.add_text_field("names", tokenizer_name="plain", index_option="basic")
    builder.add_text_field("words", stored=True, tokenizer_name="plain", index_option="basic")
    for name in _RAW:
        builder.add_text_field(name, tokenizer_name="raw", index_option="basic")
    for name in _FAST:
        builder.add_text_field(name, fast=True, tokenizer_name="raw", index_option="basic")
    for name in ("id_high", "id_low", "by_use", "by_update"):
        builder.add_unsigned_field(name, indexed=True, fast=True)
    builder.add_float_field("lift", fast=True)
    return builder.build()


class DocumentMaker:
    """Makes the documents of entries."""

    def __init__(self) -> None:
        self._german: TextAnalyzer = analyzers()["de"]

    def document(self, entry: IndexedEntry) -> Document:
        """What the index keeps of an entry."""
        made, texts = Document(), entry.texts()
        german = language_of(f"{entry.title} {entry.summary} {entry.description}") == "de"
        for name, text in texts.items():
            if not text:
                continue
            self._add(made, name, text, german=german)
        made.add_text("names", f"{texts['title']} {texts['tags']}")
        every = " ".join(dict.fromkeys(" ".join(texts.values()).lower().split()))
        made.add_text("words", every)
        self._add(made, "stems", every, german=german)
        for name, value in _values(entry):
            made.add_text(name, value)
        high, low = divmod(entry.id.int, 1 << 64)
        made.add_unsigned("id_high", high)
        made.add_unsigned("id_low", low)
        made.add_unsigned("by_use", (min(max(entry.uses, 0), _MOST_USES) << 44) | (low >> 20))
        made.add_unsigned("by_update", int(entry.updated_at.timestamp() * 1_000_000))
        made.add_float("lift", lift(entry))
        return made

    def _add(self, made: Document, name: str, text: str, *, german: bool) -> None:
        if german:
            made.add_pre_tokenized_text(name, self._german.pre_tokenize(text))
        else:
            made.add_text(name, text)


def lift(entry: IndexedEntry) -> float:
    """How much an entry stands above equal matches: by lifecycle, use, freshness and brevity.

    The last part is different for nearly every entry, so that two have rarely the same score.
    """
    state = {"PUBLISHED": 0.25, "IN_REVIEW": 0.1, "DRAFT": 0.08}.get(entry.lifecycle, 0.0)
    used = min(math.log2(1 + max(entry.uses, 0)) * 0.04, 0.3)
    days = entry.updated_at.timestamp() / 86_400 - _FIRST_DAY
    fresh = 0.1 * min(max(days, 0.0) / 7_300, 1.0)
    brief = 0.12 / max(len(words_in(entry.title)), 1)
    apart = zlib.crc32(entry.id.bytes) / (1 << 32) * 0.004
    return state + used + fresh + brief + apart


def exact(text: str) -> str:
    """A title in the form in which two are compared."""
    return " ".join(fold(word) for word in words_in(text))


def _values(entry: IndexedEntry) -> Iterator[tuple[str, str]]:
    yield from (
        ("id", entry.id.hex),
        ("ref", entry.ref),
        ("exact_title", exact(entry.title)),
        ("kind", entry.kind),
        ("team", entry.team),
        ("data_class", entry.data_class),
        ("lifecycle", entry.lifecycle),
        ("by_title", f"{entry.title.lower()} {entry.id.hex}"),
    )
    if entry.domain:
        yield "domain", entry.domain
    lists: tuple[tuple[str, Any], ...] = (
        ("tag", entry.tags),
        ("system", entry.systems),
        ("system_name", [ref.rpartition("/")[2] for ref in entry.systems]),
        ("owners", entry.owners),
    )
    for name, values in lists:
        yield from ((name, value) for value in dict.fromkeys(values))
    yield from _states(entry)


def _states(entry: IndexedEntry) -> Iterator[tuple[str, str]]:
    same = (entry.data_class, set(entry.owners))
    found: dict[tuple[str, str], None] = {}
    mixed = any((each.data_class, set(each.owners)) != same for each in entry.versions)
    for each in entry.versions:
        cell = f"{each.state}|{each.data_class}"
        found["states", cell] = None
        found.update(dict.fromkeys(("state_owners", f"{cell}|{who}") for who in each.owners))
        found.update(dict.fromkeys(("state_authors", f"{cell}|{who}") for who in each.authors))
        if not mixed:
            found["plain_states", each.state] = None
    if mixed:
        found["mixed", "yes"] = None
    yield from found
