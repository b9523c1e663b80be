"""Guessing what a misspelt word means."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches
from typing import Final

# With more candidates than this no guess is made, for it would take longer than it is worth.
_MOST: Final = 200


def closest(word: str, known: Collection[str], *, likeness: float = 0.6) -> str | None:
    """The known word that a misspelt one most likely means, whatever its case; None for no idea."""
    if len(known) > _MOST:
        return None
    by_lower = {candidate.lower(): candidate for candidate in known}
    found = get_close_matches(word.lower(), by_lower, n=1, cutoff=likeness)
    return by_lower[found[0]] if found else None


def did_you_mean(word: str, known: Collection[str]) -> str:
    """`, did you mean …?` to end a message with, or nothing."""
    found = closest(word, known)
    return f", did you mean `{found}`?" if found else ""
