"""Fragments that show why an entry was found: HTML-escaped, the match in <mark>."""

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


def _marked(text: str) -> str:
    escaped = html.escape(text, quote=True)
    return escaped.replace(_OPEN, "<mark>").replace(_CLOSE, "</mark>")
