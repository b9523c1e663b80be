"""Definitions in files: read, draw and compare them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

from coe.cli.output import problem_fields
from coe.drawing import svg
from coe.drawing.mermaid import mermaid
from coe.errors import Invalid
from coe.language.diff import diff
from coe.language.load import load
from coe.language.source import Source

_MANIFEST: Final = re.compile(r"^kind:\s*['\"]?localFlow\b", re.MULTILINE)


def read_definition(file: Path) -> str:
    """Read the text of a file.

    Raises:
        Invalid: It cannot be read.
    """
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise Invalid((), f"{file} cannot be read: {reason}") from None


def draw_file(file: Path, to: str = "mermaid") -> str:
    """Draw a definition or a manifest as Mermaid source or an SVG document.

    Raises:
        Invalid: The file cannot be read or loaded.
    """
    text = read_definition(file)
    if _MANIFEST.search(text):
        return _draw_manifest(file, text, to)
    loaded = load(text, file=str(file))
    if loaded.definition is None:
        raise Invalid(loaded.problems, f"{file} does not load")
    return svg(loaded.definition) if to == "svg" else mermaid(loaded.definition)


def _draw_manifest(file: Path, text: str, to: str) -> str:
    from coe.catalog.flows import documents  # noqa: PLC0415  # slow, and only for manifests

    document, problems = documents.read_flow(text)
    if document is None:
        raise Invalid(problems, f"{file} does not load")
    return documents.draw_svg(document) if to == "svg" else documents.draw_mermaid(document)


def compare(old: Path, new: Path) -> dict[str, Any]:
    """Compare two versions of a flow; returns the object of the JSON output.

    Raises:
        Invalid: One of the two does not load, or they are versions of two flows.
    """
    before, after = _source(old), _source(new)
    names = [_name(source) for source in (before, after)]
    if names[0] != names[1]:
        message = f"{old} is of {names[0]} and {new} of {names[1]}: they are not of one flow"
        raise Invalid((), message)
    difference = diff(before, after)
    return {
        "breaking": difference.breaking,
        "asks": difference.asks,
        "changes": [problem_fields(change) for change in difference.changes],
        "unified": difference.unified,
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
