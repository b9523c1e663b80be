"""`coe flow check`: definitions and manifests of local flows, checked as the catalog would."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from coe.errors import Problem
from coe.language.check import FORMATS, FileProblem, check, has_errors, read_text, unreadable
from coe.language.source import LARGEST

__all__ = ["check_files", "has_errors", "render"]

_MANIFEST: Final = re.compile(rb"^kind:\s*['\"]?localFlow\b", re.MULTILINE)


def check_files(files: Sequence[Path]) -> list[FileProblem]:
    """Everything that is wrong with these files, in their order; a folder stands for its flows.

    What cannot be read, holds no flow or is a template's is an error of its own (OWS007).
    """
    found: dict[str, list[FileProblem]] = {}
    definitions: list[Path] = []
    for file in files:
        paths, problem = _flows_of(file)
        if problem is not None:
            found[str(file)] = [FileProblem(str(file), problem)]
        for path in paths:
            if str(path) not in found:
                manifest = _is_manifest(path)
                found[str(path)] = _manifest_problems(path) if manifest else []
                definitions += [] if manifest else [path]
    for each in check(definitions):
        found[each.file].append(each)
    return [problem for problems in found.values() for problem in problems]


def render(found: Sequence[FileProblem], output: str) -> str:
    """The problems as text, JSON or SARIF."""
    return FORMATS[output](found)


def _flows_of(file: Path) -> tuple[list[Path], Problem | None]:
    """The flows that an argument stands for, or why it stands for none."""
    if not file.is_dir():
        if _is_of_template(file):
            mend = f"check it with: coe template render {file.parent}"
            return [], unreadable("a template, whose placeholders are not filled in", mend)
        return [file], None
    inside = [
        path
        for path in sorted(file.rglob("*.yaml"))
        if (path.name == "flow.yaml" and not _is_of_template(path)) or _is_manifest(path)
    ]
    return inside, None if inside else unreadable("a folder without flows")


def _is_of_template(file: Path) -> bool:
    return file.name == "flow.yaml" and file.with_name("template.yaml").exists()


def _is_manifest(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return bool(_MANIFEST.search(file.read(LARGEST)))
    except OSError:
        return False


def _manifest_problems(path: Path) -> list[FileProblem]:
    from coe.catalog.flows.documents import read_flow  # noqa: PLC0415  # slow, and only for manifests

    text, problem = read_text(path)
    problems = (problem,) if problem is not None else read_flow(text)[1]
    return [FileProblem(str(path), each) for each in problems]
