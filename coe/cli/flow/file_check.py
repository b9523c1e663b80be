"""Check files of definitions and of local flows' manifests, as the catalog does."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from coe.errors import Problem
from coe.language.check import FileProblem, check, read_text, unreadable
from coe.language.lint.stages import Stage
from coe.language.source import MAX_BYTES

_MANIFEST: Final = re.compile(rb"^kind:\s*['\"]?localFlow\b", re.MULTILINE)


def check_files(files: Sequence[Path], stage: Stage = Stage.DRAFT) -> list[FileProblem]:
    """Check files and the flows in folders; the problems are in the order of the arguments.

    A file that cannot be read, a folder without flows and a template's file is each an error
    (OWS007).
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
    for each in check(definitions, stage=stage):
        found[each.file].append(each)
    return [problem for problems in found.values() for problem in problems]


def _flows_of(file: Path) -> tuple[list[Path], Problem | None]:
    """The files of flows that an argument names, or the problem if there are none."""
    if not file.is_dir():
        if _is_template(file):
            help = f"check it with: coe template render {file.parent}"
            return [], unreadable("a template, whose placeholders are not filled in", help)
        return [file], None
    inside = [
        path
        for path in sorted(file.rglob("*.yaml"))
        if (path.name == "flow.yaml" and not _is_template(path)) or _is_manifest(path)
    ]
    return inside, None if inside else unreadable("a folder without flows")


def _is_template(file: Path) -> bool:
    return file.name == "flow.yaml" and file.with_name("template.yaml").exists()


def _is_manifest(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return bool(_MANIFEST.search(file.read(MAX_BYTES)))
    except OSError:
        return False


def _manifest_problems(path: Path) -> list[FileProblem]:
    from coe.catalog.flows.documents import read_flow  # noqa: PLC0415  # slow, and only for manifests

    text, problem = read_text(path)
    problems = (problem,) if problem is not None else read_flow(text)[1]
    return [FileProblem(str(path), each) for each in problems]
