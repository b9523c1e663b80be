"""`coe flow diagram` and `coe flow diff`: a definition drawn, two compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from coe.catalog.documents import FlowDocument, read_flow
from coe.catalog.documents import draw as draw_document
from coe.cli.output import problem_fields
from coe.errors import Invalid
from coe.language.diff import diff


def draw(file: Path) -> str:
    """The Mermaid source of a definition or a manifest.

    Raises:
        Invalid: It does not load.
    """
    return draw_document(_document(file))


def compare(old: Path, new: Path) -> dict[str, Any]:
    """What differs, as the JSON output has it.

    Raises:
        Invalid: One of the two does not load.
    """
    told = diff(_document(old).source, _document(new).source)
    return {
        "breaking": told.breaking,
        "changes": [problem_fields(change) for change in told.changes],
        "unified": told.unified,
    }


def _document(file: Path) -> FlowDocument:
    document, problems = read_flow(file.read_text())
    if document is None:
        raise Invalid(problems, f"{file} does not load")
    return document
