"""Check files of definitions and of local flows' manifests, as the catalog does."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from coe.errors import Problem
from coe.language.check import FileProblem, check, read_text, unreadable
from coe.language.lint.stages import Stage
from coe.language.source import MAX_BYTES

if TYPE_CHECKING:
    from coe.cli.flow.entrypoints import Found

_MANIFEST: Final = re.compile(rb"^kind:\s*['\"]?localFlow\b", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class EntrypointTrial:
    """How the entrypoints of local flows are tried: below which folder, found by itself if None."""

    flows_dir: Path | None = None


def check_files(
    files: Sequence[Path],
    stage: Stage = Stage.DRAFT,
    trial: EntrypointTrial | None = None,
) -> list[FileProblem]:
    """Check files and the flows in folders; the problems are in the order of the arguments.

    A file that cannot be read, a folder without flows and a template's file is each an error
    (OWS007). With a `trial`, the files of entrypoints are imported in another process.
    """
    found: dict[str, list[FileProblem]] = {}
    definitions: list[Path] = []
    entrypoints: dict[str, Found] = {}
    for file in files:
        paths, problem = _flows_of(file)
        if problem is not None:
            found[str(file)] = [FileProblem(str(file), problem)]
        for path in paths:
            if str(path) not in found:
                manifest = _is_manifest(path)
                found[str(path)] = []
                if manifest:
                    found[str(path)] = _manifest_problems(path, trial, entrypoints)
                else:
                    definitions.append(path)
    for each in check(definitions, stage=stage):
        found[each.file].append(each)
    if entrypoints:
        from coe.cli.flow.entrypoints import try_all  # noqa: PLC0415  # only for manifests

        tried = try_all(list(entrypoints.values()))
        for name, wrong in zip(entrypoints, tried, strict=True):
            found[name] += [FileProblem(name, wrong)] if wrong else []
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


def _manifest_problems(
    path: Path, trial: EntrypointTrial | None, entrypoints: dict[str, Found]
) -> list[FileProblem]:
    """The problems of a manifest; its entrypoint is added to those that are to be tried."""
    from coe.catalog.flows.documents import read_flow  # noqa: PLC0415  # slow, and only for manifests
    from coe.cli.flow.entrypoints import find  # noqa: PLC0415  # the same

    text, problem = read_text(path)
    if problem is not None:
        return [FileProblem(str(path), problem)]
    document, problems = read_flow(text)
    if document is not None and trial is not None:
        entrypoint = find(document, path, trial.flows_dir)
        if entrypoint is not None:
            entrypoints[str(path)] = entrypoint
    return [FileProblem(str(path), each) for each in problems]
