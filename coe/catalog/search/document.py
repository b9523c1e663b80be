"""The search document of a version: what the catalog shows and searches, in clear.

Of the definition it contains only the names of the steps, and of a template what it says of its
parameters. Other examples and schemas can contain personal data, so they stay sealed.
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
_MAX_TEXT_LENGTH = 4_000
MAX_WORD_LENGTH = 40
"""The letters of a word that a search compares; it ignores the rest."""


class SearchDocument(BaseModel):
    """The description of a version; `systems` are refs, `steps` are names of tasks.

    `parameters` are the names of a template's parameters, and what is said of them.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    title: str
    summary: str
    description: str = ""
    tags: tuple[str, ...] = ()
    systems: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()
    domain: str | None = None
    data_class: DataClass = DataClass.INTERNAL
    process_owner: str | None = None
    deputy: str | None = None

    def to_json(self) -> dict[str, JSON]:
        """The document as `entry_versions.card` stores it."""
        return self.model_dump(mode="json")


def write_search_document(entry: Entry, document: SearchDocument) -> None:
    """Copy the document to the entry, and set the columns that search reads."""
    entry.title = document.title
    entry.summary = document.summary
    entry.tags = list(document.tags)
    entry.systems = list(document.systems)
    entry.domain = document.domain
    entry.data_class = document.data_class
    entry.process_owner = document.process_owner
    entry.deputy = document.deputy
    entry.search_title = plain_words([document.title, entry.name, entry.namespace])
    entry.search_tags = plain_words([*document.tags, *document.systems, document.domain or ""])
    entry.search_summary = plain_words([document.summary])
    entry.search_body = plain_words([document.description, *document.steps])
    entry.search_words = distinct_words(
        f"{entry.search_title} {entry.search_tags} {entry.search_summary} "
        f"{plain_words(document.steps)}",
    )


def search_document_of(version: EntryVersion) -> SearchDocument:
    """The search document of a stored version."""
    return SearchDocument.model_validate(version.card)


def plain_words(texts: Iterable[str]) -> str:
    """The texts as plain words: `checkCredit` and `order-to-cash` become several words."""
    joined = " ".join(texts)
    return _JOINTS.sub(" ", _CAMEL.sub(" ", joined)).strip()[:_MAX_TEXT_LENGTH]


def distinct_words(text: str) -> str:
    """Each word once, in lower case, in order of appearance: trigrams compare with these."""
    return " ".join(dict.fromkeys(word[:MAX_WORD_LENGTH] for word in text.lower().split()))
