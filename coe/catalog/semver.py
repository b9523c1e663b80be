"""Versions (Semantic Versioning 2.0.0), ranges in npm's notation, and their order.

Build metadata is refused: two versions that differ only in it would be equal. A range never matches
a pre-release, which must be named exactly; `||` and hyphen ranges are not supported.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_EXACT = re.compile(
    r"(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})"
    r"(?:-((?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*)"
    r"(?:\.(?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*))*))?",
)
_NUMBER = r"(?:0|[1-9]\d{0,8}|[xX*])"
_COMPARATOR = re.compile(rf"(\^|~|>=|<=|>|<|=)?({_NUMBER}(?:\.{_NUMBER}){{0,2}})")
_ALIAS = re.compile(r"[a-z][a-z0-9-]{0,40}")
_WILD = frozenset("xX*")

Triple = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Version:
    """A parsed exact version."""

    major: int
    minor: int
    patch: int
    prerelease: str = ""

    @property
    def triple(self) -> Triple:
        """Major, minor and patch."""
        return (self.major, self.minor, self.patch)

    def __str__(self) -> str:
        """The version as text."""
        core = f"{self.major}.{self.minor}.{self.patch}"
        return f"{core}-{self.prerelease}" if self.prerelease else core


@dataclass(frozen=True, slots=True)
class Range:
    """Half-open intervals of triples; a version matches if all contain it."""

    bounds: tuple[tuple[Triple, Triple], ...]

    def contains(self, version: Version) -> bool:
        """Whether the version is a release within all intervals."""
        return not version.prerelease and all(
            low <= version.triple < high for low, high in self.bounds
        )


def parse_version(text: str) -> Version | None:
    """Parse an exact version; None if the text is not one."""
    match = _EXACT.fullmatch(text)
    if match is None:
        return None
    major, minor, patch, prerelease = match.groups()
    return Version(int(major), int(minor), int(patch), prerelease or "")


def parse_range(text: str) -> Range | None:
    """Parse a range such as `^1.2`, `1.x`, `~1.4.1` or `>=1.2 <2`; None if the text is not one."""
    bounds: list[tuple[Triple, Triple]] = []
    for comparator in text.split():
        match = _COMPARATOR.fullmatch(comparator)
        if match is None:
            return None
        bounds.append(_interval(match[1] or "", match[2]))
    return Range(tuple(bounds)) if bounds else None


def is_alias(text: str) -> bool:
    """Whether a text can be an alias: it starts with a letter, so it is no version or range."""
    return _ALIAS.fullmatch(text) is not None and text != "x"


def precedence(version: Version) -> str:
    """A text whose byte order is the order of precedence (Semantic Versioning, section 11)."""
    core = ".".join(f"{number:09d}" for number in version.triple)
    if not version.prerelease:
        return f"{core}~"
    identifiers = [
        f"0{len(each):03d}{each}" if each.isdigit() else f"1{each}"
        for each in version.prerelease.split(".")
    ]
    return f"{core}-" + "!".join(identifiers)


def bump(version: Version, step: str) -> Version:
    """The next version by a step: `major` (below 1.0.0 a minor one), `minor`, or else patch."""
    if step == "major" and version.major > 0:
        return Version(version.major + 1, 0, 0)
    if step in {"major", "minor"}:
        return Version(version.major, version.minor + 1, 0)
    return Version(version.major, version.minor, version.patch + 1)


_TOP: Triple = (10**9, 0, 0)
_BOTTOM: Triple = (0, 0, 0)


def _interval(operator: str, text: str) -> tuple[Triple, Triple]:
    numbers: list[int] = []
    for part in text.split("."):
        if part in _WILD:
            break
        numbers.append(int(part))
    low, above = _padded(numbers), _above(numbers)
    bounds = {
        ">=": (low, _TOP),
        ">": (above, _TOP),
        "<": (_BOTTOM, low),
        "<=": (_BOTTOM, above),
        "^": (low, _above(numbers[: _first_nonzero(numbers)])),
        "~": (low, _above(numbers[:2])),
    }
    return bounds.get(operator, (low, above))


def _first_nonzero(numbers: list[int]) -> int:
    for place, number in enumerate(numbers, start=1):
        if number:
            return place
    return len(numbers)


def _padded(numbers: list[int]) -> Triple:
    filled = (*numbers, 0, 0, 0)
    return (filled[0], filled[1], filled[2])


def _above(numbers: list[int]) -> Triple:
    """The least triple above every triple that starts with these numbers."""
    if not numbers:
        return _TOP
    return _padded([*numbers[:-1], numbers[-1] + 1])
