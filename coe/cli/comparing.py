"""`coe flow diagram` and `coe flow diff`: a definition drawn, two compared."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

from coe.cli.output import problem_fields
from coe.cli.trying import read_definition
from coe.drawing import svg
from coe.drawing.mermaid import mermaid
from coe.errors import Invalid
from coe.language.diff import diff
from coe.language.load import load
from coe.language.source import Source

_MANIFEST: Final = re.compile(r"^kind:\s*['\"]?localFlow\b", re.MULTILINE)


def draw(file: Path, to: str = "mermaid") -> str:
    """The drawing of a definition or a manifest: Mermaid source, or an SVG document.

    Raises:
        Invalid: It does not load.
    """
    text = read_definition(file)
    if _MANIFEST.search(text):
        return _drawn_manifest(file, text, to)
    loaded = load(text, file=str(file))
    if loaded.definition is None:
        raise Invalid(loaded.problems, f"{file} does not load")
    return svg(loaded.definition) if to == "svg" else mermaid(loaded.definition)


def _drawn_manifest(file: Path, text: str, to: str) -> str:
    from coe.catalog.flows import documents  # noqa: PLC0415  # slow, and only for manifests

    document, problems = documents.read_flow(text)
    if document is None:
        raise Invalid(problems, f"{file} does not load")
    return documents.draw_svg(document) if to == "svg" else documents.draw(document)


def compare(old: Path, new: Path) -> dict[str, Any]:
    """What differs, as the JSON output has it.

    Raises:
        Invalid: One of the two does not load, or they are of two flows.
    """
    before, after = _source(old), _source(new)
    names = [_name(source) for source in (before, after)]
    if names[0] != names[1]:
        message = f"{old} is of {names[0]} and {new} of {names[1]}: no versions of one flow"
        raise Invalid((), message)
    told = diff(before, after)
    return {
        "breaking": told.breaking,
        "asks": told.asks,
        "changes": [problem_fields(change) for change in told.changes],
        "unified": told.unified,
    }


def _source(file: Path) -> Source:
    text = read_definition(file)
    if _MANIFEST.search(text):
        from coe.catalog.flows.documents import read_flow  # noqa: PLC0415  # the same

        document, problems = read_flow(text)
        source = document.source if document is not None else None
    else:
        loaded = load(text, file=str(file))
        problems = loaded.problems
        source = loaded.source if loaded.definition is not None else None
    if source is None:
        raise Invalid(problems, f"{file} does not load")
    return source


def _name(source: Source) -> str:
    data: Any = source.data
    about = data.get("document", data)
    return f"{about.get('namespace')}/{about.get('name')}"
