"""Fragments that show why an entry was found: HTML-escaped, the match in <mark>."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from difflib import SequenceMatcher

from sqlalchemy import ColumnElement, Function, func

_OPEN, _CLOSE = "\ue000", "\ue001"
_OPTIONS = (
    f"StartSel={_OPEN},StopSel={_CLOSE},MaxFragments=2,MaxWords=18,MinWords=6,"
    "FragmentDelimiter= … ,HighlightAll=false"
)
_WHOLE = f"StartSel={_OPEN},StopSel={_CLOSE},HighlightAll=true"
_MARKS = str.maketrans({_OPEN: None, _CLOSE: None})
_WORD = re.compile(r"\w+")
_CLOSE_ENOUGH = 0.65
_MOST = 3


def headline(
    column: ColumnElement[str],
    query: ColumnElement[object],
    *,
    whole: bool,
) -> Function[str]:
    """The column's text with the matches between two private marks, all of it or fragments."""
    cleaned = func.translate(column, _OPEN + _CLOSE, "")
    options = _WHOLE if whole else _OPTIONS
    return func.ts_headline("english", cleaned, query, options)


def fragments(headlines: Iterable[str]) -> tuple[str, ...]:
    """Those headlines in which something matched, escaped, with <mark> for the private marks."""
    return tuple(_marked(each) for each in headlines if each and _OPEN in each)[:_MOST]


def near_misses(texts: Iterable[str], search: str) -> tuple[str, ...]:
    """The texts in which words come near to those of the search, with these words marked."""
    sought = [word.lower() for word in _WORD.findall(search)]
    return fragments(
        _WORD.sub(lambda match: _near(match[0], sought), clean(each)) for each in texts
    )


def clean(text: str) -> str:
    """A text without the private marks."""
    return text.translate(_MARKS)


def _near(word: str, sought: list[str]) -> str:
    matcher = SequenceMatcher(b=word.lower())
    for each in sought:
        matcher.set_seq1(each)
        if matcher.ratio() >= _CLOSE_ENOUGH:
            return f"{_OPEN}{word}{_CLOSE}"
    return word


def _marked(text: str) -> str:
    escaped = html.escape(text, quote=True)
    return escaped.replace(_OPEN, "<mark>").replace(_CLOSE, "</mark>")
