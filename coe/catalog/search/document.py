"""The card of a version: what the catalog shows and search reads, in clear.

Nothing of the definition goes on it but the names of its steps; examples and schemas, which may
hold personal data, stay sealed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict

from coe.access.actor import DataClass
from coe.catalog.models import Entry, EntryVersion
from coe.json_types import JSON

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_JOINTS = re.compile(r"[/_.:@-]+")
_WORDS_LIMIT = 4_000
LONGEST_WORD = 40
"""Letters of a word that a search compares with."""


class SearchDocument(BaseModel):
    """What an entry shows of a version; `systems` are refs, `steps` names of tasks."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    title: str
    summary: str
    description: str = ""
    tags: tuple[str, ...] = ()
    systems: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()
    domain: str | None = None
    data_class: DataClass = DataClass.INTERNAL
    process_owner: str | None = None
    deputy: str | None = None

    def to_json(self) -> dict[str, JSON]:
        """Its form for `entry_versions.card`."""
        return self.model_dump(mode="json")


def write_search_document(entry: Entry, card: SearchDocument) -> None:
    """Put a card on an entry, and the words that search reads."""
    entry.title = card.title
    entry.summary = card.summary
    entry.tags = list(card.tags)
    entry.systems = list(card.systems)
    entry.domain = card.domain
    entry.data_class = card.data_class
    entry.process_owner = card.process_owner
    entry.deputy = card.deputy
    entry.search_title = plain_words([card.title, entry.name, entry.namespace])
    entry.search_tags = plain_words([*card.tags, *card.systems, card.domain or ""])
    entry.search_summary = plain_words([card.summary])
    entry.search_body = plain_words([card.description, *card.steps])
    entry.search_words = distinct_words(
        f"{entry.search_title} {entry.search_tags} {entry.search_summary} "
        f"{plain_words(card.steps)}",
    )


def search_document_of(version: EntryVersion) -> SearchDocument:
    """The card of a stored version."""
    return SearchDocument.model_validate(version.card)


def plain_words(texts: Iterable[str]) -> str:
    """Texts as plain words: `checkCredit` and `order-to-cash` are taken apart."""
    joined = " ".join(texts)
    return _JOINTS.sub(" ", _CAMEL.sub(" ", joined)).strip()[:_WORDS_LIMIT]


def distinct_words(text: str) -> str:
    """Each word once, in lower case, in order of appearance: what trigrams compare with."""
    return " ".join(dict.fromkeys(word[:LONGEST_WORD] for word in text.lower().split()))
