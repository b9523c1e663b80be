"""Suggest what a misspelt word means."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches
from typing import Final

# Among more candidates, only those with the same first letter are compared, or none if those are
# too many: it would take too long.
_MAX_CANDIDATES: Final = 200


def closest(word: str, known: Collection[str], *, likeness: float = 0.6) -> str | None:
    """The known word most like a misspelt one, whatever its case; None if none is like it."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    if len(by_lower) > _MAX_CANDIDATES:
        first = word[:1].lower()
        by_lower = {each: name for each, name in by_lower.items() if each[:1] == first}
    if len(by_lower) > _MAX_CANDIDATES:
        return None
    found = get_close_matches(word.lower(), by_lower, n=1, cutoff=likeness)
    return by_lower[found[0]] if found else None


def did_you_mean(word: str, known: Collection[str]) -> str:
    """The end of a message, `, did you mean …?`, or an empty text."""
    found = closest(word, known)
    return f", did you mean `{found}`?" if found else ""
