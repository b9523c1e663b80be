"""Patterns of subjects in trust rules, which match no more than they look like.

A subject is made of segments between `:` and `/`, such as `repo:acme/app:ref:refs/heads/main`. In a
pattern `*` stands for one whole segment, and `**` as the last one for one or more. The first two
segments are always written out: the issuer of a public CI signs for the repositories of everybody.
"""

from __future__ import annotations

import re
from typing import Final

ONE: Final = "*"
REST: Final = "**"
LITERAL_SEGMENTS: Final = 2
MAX_LENGTH: Final = 500

_DELIMITER: Final = re.compile(r"([:/])")
_TEXT: Final = re.compile(r"[!-~]+")


def pattern_problem(pattern: str) -> str | None:
    """What is wrong with a pattern, as a sentence; None if it is good."""
    if len(pattern) > MAX_LENGTH or _TEXT.fullmatch(pattern) is None:
        return f"a pattern has 1 to {MAX_LENGTH} printable characters without spaces"
    segments = _DELIMITER.split(pattern)[::2]
    if not all(segments):
        return "a segment of the pattern is empty"
    if any(ONE in each and each not in {ONE, REST} for each in segments):
        return "* stands for a whole segment between : and /, and not for a part of one"
    if REST in segments[:-1]:
        return "** stands at the end only"
    if any(ONE in each for each in segments[:LITERAL_SEGMENTS]) or len(segments) < LITERAL_SEGMENTS:
        return "the first two segments are written out, such as repo:acme/ or project_path:acme/"
    return None


def fits(pattern: str, subject: str) -> bool:
    """Whether a subject fits a good pattern; each segment and each delimiter is compared."""
    wanted, given = _DELIMITER.split(pattern), _DELIMITER.split(subject)
    if wanted[-1] == REST:
        wanted = wanted[:-1]
        rest, given = given[len(wanted) :], given[: len(wanted)]
        if not rest or not all(rest[::2]):
            return False
    return len(wanted) == len(given) and all(map(_same, wanted, given))


def _same(wanted: str, given: str) -> bool:
    return bool(given) and wanted in {ONE, given}
