"""`coe flow check`: definitions and manifests of local flows, checked as the catalog would."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from coe.errors import CoeError
from coe.language.check import FORMATS, FileProblem, check, has_errors

__all__ = ["check_files", "has_errors", "render"]

_MANIFEST: Final = re.compile(rb"^kind:\s*['\"]?localFlow\b", re.MULTILINE)


def check_files(files: Sequence[Path]) -> list[FileProblem]:
    """Everything that is wrong with these files, in their order; a folder stands for its files.

    Raises:
        CoeError: A named file or folder is not there, or holds no flow.
    """
    paths = [path for file in files for path in _flows_of(file)]
    manifests = {path for path in paths if _MANIFEST.search(path.read_bytes())}
    found = {str(path): _manifest_problems(path) for path in manifests}
    for each in check([path for path in paths if path not in manifests]):
        found.setdefault(each.file, []).append(each)
    return [problem for path in paths for problem in found.get(str(path), [])]


def render(found: Sequence[FileProblem], output: str) -> str:
    """The problems as text, JSON or SARIF."""
    return FORMATS[output](found)


def _flows_of(file: Path) -> list[Path]:
    if file.is_file():
        if _is_of_template(file):
            hint = f"check it with: coe template render {file.parent}"
            raise CoeError(f"{file} is a template's, with placeholders; {hint}", code="INVALID")
        return [file]
    inside = [
        path
        for path in sorted(file.rglob("*.yaml"))
        if (path.name == "flow.yaml" and not _is_of_template(path))
        or _MANIFEST.search(path.read_bytes())
    ]
    if not inside:
        raise CoeError(f"{file}: no such file, or a folder without flows", code="INVALID")
    return inside


def _is_of_template(file: Path) -> bool:
    return file.name == "flow.yaml" and file.with_name("template.yaml").exists()


def _manifest_problems(path: Path) -> list[FileProblem]:
    from coe.catalog.documents import read_flow  # noqa: PLC0415  # slow, and only for manifests

    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise CoeError(f"{path}: is not UTF-8", code="INVALID") from None
    _, problems = read_flow(text)
    return [FileProblem(str(path), problem) for problem in problems]
