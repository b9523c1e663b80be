"""What is computed of a flow's text, in a process that can be killed (`coe.confined`).

The functions take texts and data and return data. A process keeps the document that it has read
last, so that a check that follows a reading does not read it again.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from coe.catalog.flows.documents import FlowDocument, draw_mermaid, draw_svg, read_flow
from coe.catalog.records import VersionChange
from coe.errors import Conflict, Problem
from coe.language.diff import diff
from coe.language.json_schema.meta import schema_problems
from coe.language.lint import Catalogued, Stage, Standards, lint


def flow_of(text: str) -> tuple[FlowDocument | None, tuple[Problem, ...]]:
    """Read a document of either kind, as `read_flow`."""
    return _read(text)


def saved_flow(text: str) -> FlowDocument:
    """The document of a saved definition.

    Raises:
        Conflict: The document is no longer valid, because the language was restricted since.
    """
    document, _ = _read(text)
    if document is None:
        raise Conflict("the definition was saved in a form that is no longer read")
    return document


def check_text(
    text: str, known: Catalogued | None, standards: Standards, stage: Stage
) -> tuple[Problem, ...]:
    """The problems of a document that can be read, but for its names."""
    document = saved_flow(text)
    if document.definition is not None:
        return lint(document.definition, known=known, standards=standards, stage=stage)
    parts = (("input", document.input_schema), ("output", document.output_schema))
    return tuple(
        problem
        for part, schema in parts
        for problem in schema_problems(document.source, schema, f"/{part}/schema/document")
    )


def mermaid_of_text(text: str) -> str:
    """The Mermaid source of a saved definition."""
    return draw_mermaid(saved_flow(text))


def svg_of_text(text: str) -> str:
    """The SVG drawing of a document; empty if the document cannot be read."""
    document, _ = _read(text)
    return "" if document is None else draw_svg(document)


def changes(old: str, new: str) -> VersionChange:
    """The changes from one saved definition to another."""
    found = diff(saved_flow(old).source, saved_flow(new).source)
    return VersionChange(found.unified, found.breaking, found.changes, found.asks)


def preview_of(text: str, live: str | None) -> tuple[str, VersionChange | None]:
    """The Mermaid source of a document, and its changes to the live version if there is one."""
    return mermaid_of_text(text), None if live is None else changes(live, text)


@lru_cache(maxsize=2)
def _read(text: str) -> tuple[FlowDocument | None, tuple[Problem, ...]]:
    document, problems = read_flow(text)
    if document is None:
        return None, problems
    return replace(document, digests=(document.digest, document.body_digest)), problems
