"""What leaves keep in memory between calls, within bounds: access tokens and OpenAPI documents."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field
from time import monotonic
from typing import Final
from weakref import WeakValueDictionary

from coe.language.openapi.document import Document

MOST_TOKENS: Final = 500
FRESH: Final = 300.0
"""Seconds for which a document is used before it is fetched again."""
MOST: Final = 32
MOST_BYTES: Final = 30_000_000
"""How many documents are kept, and how many bytes they may have together, as they were sent."""


@dataclass(slots=True)
class Tokens:
    """Access tokens that are still good, in memory only, by a digest of what was asked with.

    `locks` let one caller ask for a token while others who need the same one wait for it.
    """

    _kept: OrderedDict[bytes, tuple[str, float]] = field(default_factory=OrderedDict, repr=False)
    locks: WeakValueDictionary[bytes, asyncio.Lock] = field(default_factory=WeakValueDictionary)

    def get(self, digest: bytes) -> str | None:
        """The token that was kept, if it is still good."""
        token, until = self._kept.get(digest, ("", 0.0))
        return token if until > monotonic() else None

    def keep(self, digest: bytes, token: str, seconds: float) -> None:
        """Keep a token for so long; of very many the oldest goes."""
        self._kept[digest] = (token, monotonic() + seconds)
        self._kept.move_to_end(digest)
        if len(self._kept) > MOST_TOKENS:
            self._kept.popitem(last=False)

    def forget(self, digest: bytes) -> None:
        """Drop a token that was refused."""
        self._kept.pop(digest, None)

    def lock(self, digest: bytes) -> asyncio.Lock:
        """The lock of those who need this token."""
        return self.locks.setdefault(digest, asyncio.Lock())


@dataclass(frozen=True, slots=True)
class _Kept:
    digest: bytes
    size: int
    document: Document
    until: float


@dataclass(slots=True)
class Documents:
    """Documents by what they were fetched with; a copy that says the same is not read again."""

    _kept: OrderedDict[bytes, _Kept] = field(default_factory=OrderedDict, repr=False)

    def get(self, key: bytes) -> Document | None:
        """The document, while it is fresh."""
        kept = self._kept.get(key)
        return kept.document if kept is not None and kept.until > monotonic() else None

    def same(self, key: bytes, digest: bytes) -> Document | None:
        """The document that was kept, if it still has this digest; it is fresh again."""
        kept = self._kept.get(key)
        if kept is None or kept.digest != digest:
            return None
        self.keep(key, digest, kept.size, kept.document)
        return kept.document

    def keep(self, key: bytes, digest: bytes, size: int, document: Document) -> None:
        """Keep a document; of very many, or very large ones, the oldest go."""
        self._kept[key] = _Kept(digest, size, document, monotonic() + FRESH)
        self._kept.move_to_end(key)
        while len(self._kept) > MOST or sum(each.size for each in self._kept.values()) > MOST_BYTES:
            self._kept.popitem(last=False)
