"""Highlights: the fragments that match, HTML-escaped, each match in <mark>."""

from __future__ import annotations

import html
from collections.abc import Iterable

from sqlalchemy import ColumnElement, Function, func

_OPEN, _CLOSE = "\ue000", "\ue001"
_OPTIONS = (
    f"StartSel={_OPEN},StopSel={_CLOSE},MaxFragments=2,MaxWords=18,MinWords=6,"
    "FragmentDelimiter= … ,HighlightAll=false"
)
_WHOLE = f"StartSel={_OPEN},StopSel={_CLOSE},HighlightAll=true"
_MAX_FRAGMENTS = 3


def headline(
    column: ColumnElement[str],
    query: ColumnElement[object],
    *,
    whole: bool,
) -> Function[str]:
    """The column's text, whole or in fragments, with each match between two private characters."""
    cleaned = func.translate(column, _OPEN + _CLOSE, "")
    options = _WHOLE if whole else _OPTIONS
    return func.ts_headline("english", cleaned, query, options)


def fragments(headlines: Iterable[str]) -> tuple[str, ...]:
    """The headlines with a match, escaped, with <mark> for the private characters."""
    return tuple(_marked(each) for each in headlines if each and _OPEN in each)[:_MAX_FRAGMENTS]


def _marked(text: str) -> str:
    escaped = html.escape(text, quote=True)
    return escaped.replace(_OPEN, "<mark>").replace(_CLOSE, "</mark>")
