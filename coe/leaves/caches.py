"""What leaves cache in memory between calls, within bounds: access tokens and OpenAPI documents."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field
from time import monotonic
from typing import Final
from weakref import WeakValueDictionary

from coe.language.openapi.document import OpenApiDocument

MAX_TOKENS: Final = 500
FRESH_SECONDS: Final = 300.0
"""How long a document is used before it is fetched again."""
MAX_DOCUMENTS: Final = 32
MAX_CACHED_BYTES: Final = 30_000_000
"""How many bytes all cached documents may have together, as they were received."""


@dataclass(slots=True)
class TokenCache:
    """Valid access tokens, in memory only, by a digest of what they were requested with.

    With `locks` one caller requests a token while others who need the same one wait for it.
    """

    _cached: OrderedDict[bytes, tuple[str, float]] = field(default_factory=OrderedDict, repr=False)
    locks: WeakValueDictionary[bytes, asyncio.Lock] = field(default_factory=WeakValueDictionary)

    def get(self, digest: bytes) -> str | None:
        """The cached token, if it is still valid."""
        token, until = self._cached.get(digest, ("", 0.0))
        return token if until > monotonic() else None

    def put(self, digest: bytes, token: str, seconds: float) -> None:
        """Cache a token for that long; when there are too many, drop the oldest."""
        self._cached[digest] = (token, monotonic() + seconds)
        self._cached.move_to_end(digest)
        if len(self._cached) > MAX_TOKENS:
            self._cached.popitem(last=False)

    def remove(self, digest: bytes) -> None:
        """Drop a token that a service refused."""
        self._cached.pop(digest, None)

    def lock(self, digest: bytes) -> asyncio.Lock:
        """The lock for requesting this token."""
        return self.locks.setdefault(digest, asyncio.Lock())


@dataclass(frozen=True, slots=True)
class _CachedDocument:
    digest: bytes
    size: int
    document: OpenApiDocument
    until: float


@dataclass(slots=True)
class DocumentCache:
    """Parsed documents by what they were fetched with; an unchanged one is not parsed again."""

    _cached: OrderedDict[bytes, _CachedDocument] = field(default_factory=OrderedDict, repr=False)

    def get(self, key: bytes) -> OpenApiDocument | None:
        """The document, while it is fresh."""
        cached = self._cached.get(key)
        return cached.document if cached is not None and cached.until > monotonic() else None

    def renew(self, key: bytes, digest: bytes) -> OpenApiDocument | None:
        """Make the cached document fresh again, if it has this digest, and return it."""
        cached = self._cached.get(key)
        if cached is None or cached.digest != digest:
            return None
        self.put(key, digest, cached.size, cached.document)
        return cached.document

    def put(self, key: bytes, digest: bytes, size: int, document: OpenApiDocument) -> None:
        """Cache a document; when they are too many or too large, drop the oldest."""
        until = monotonic() + FRESH_SECONDS
        self._cached[key] = _CachedDocument(digest, size, document, until)
        self._cached.move_to_end(key)
        while len(self._cached) > MAX_DOCUMENTS or self._size() > MAX_CACHED_BYTES:
            self._cached.popitem(last=False)

    def _size(self) -> int:
        return sum(each.size for each in self._cached.values())
