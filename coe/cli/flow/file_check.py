"""Check files of definitions and of local flows' manifests, as the catalog does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from coe.cli.flow.file_kinds import FileKind, flow_files, kind_of
from coe.cli.folder_lookup import lookup_beside
from coe.errors import Problem
from coe.language.check import FileProblem, check, has_errors, read_text, unreadable
from coe.language.lint.stages import Stage, at_stage
from coe.language.names.directory import name_problems
from coe.language.names.references import named_by

if TYPE_CHECKING:
    from coe.cli.flow.entrypoints import Found


@dataclass(frozen=True, slots=True)
class CheckedFiles:
    """The problems of files in the order of the arguments, and notes on files that were skipped."""

    problems: tuple[FileProblem, ...]
    skipped: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EntrypointTrial:
    """How the entrypoints of local flows are tried: below which folder, found by itself if None."""

    flows_dir: Path | None = None


def check_files(
    files: Sequence[Path],
    stage: Stage = Stage.DRAFT,
    trial: EntrypointTrial | None = None,
) -> CheckedFiles:
    """Check files and the flows in folders.

    A file that cannot be read, a folder without flows and a template's file is each an error
    (OWS007). With a `trial`, the files of entrypoints are imported in another process. For a
    publication the tests beside the definitions are run.
    """
    found: dict[str, list[FileProblem]] = {}
    skipped: dict[str, None] = {}
    definitions: list[Path] = []
    entrypoints: dict[str, Found] = {}
    for file in files:
        paths, problem, notes = _flows_of(file)
        skipped |= dict.fromkeys(notes)
        if problem is not None:
            found[str(file)] = [FileProblem(str(file), problem)]
        for path, kind in paths.items():
            if str(path) not in found:
                found[str(path)] = []
                if kind is FileKind.MANIFEST:
                    found[str(path)] = _manifest_problems(path, stage, trial, entrypoints)
                else:
                    definitions.append(path)
    for each in check(definitions, lookup=lookup_beside, stage=stage):
        found[each.file].append(each)
    if stage is Stage.PUBLICATION:
        _add_suites(definitions, found)
    if entrypoints:
        _add_entrypoints(entrypoints, found)
    problems = tuple(problem for problems in found.values() for problem in problems)
    return CheckedFiles(problems, tuple(skipped))


def _add_suites(definitions: Sequence[Path], found: dict[str, list[FileProblem]]) -> None:
    """Run the tests beside the definitions that have no errors."""
    from coe.cli.flow.suites import suite_problems  # noqa: PLC0415  # the machine is slow to import

    sound = [path for path in definitions if not has_errors(found[str(path)])]
    for path, problems in suite_problems(sound).items():
        found[str(path)] += problems


def _add_entrypoints(entrypoints: dict[str, Found], found: dict[str, list[FileProblem]]) -> None:
    """Try the entrypoints of local flows."""
    from coe.cli.flow.entrypoints import try_all  # noqa: PLC0415  # only for manifests

    tried = try_all(list(entrypoints.values()))
    for name, wrong in zip(entrypoints, tried, strict=True):
        found[name] += [FileProblem(name, wrong)] if wrong else []


def _flows_of(file: Path) -> tuple[dict[Path, FileKind], Problem | None, list[str]]:
    """The files of flows that an argument names, the problem if there are none, and notes."""
    if file.is_dir():
        inside, skipped = flow_files(file)
        notes = [f"skipped {path}: {kind.value}" for path, kind in skipped.items()]
        return inside, None if inside else unreadable("a folder without flows"), notes
    kind = kind_of(file)
    if kind is FileKind.TEMPLATE_FLOW:
        help = f"check it with: coe template render {file.parent}"
        return {}, unreadable("a template, whose placeholders are not filled in", help), []
    return {file: kind}, None, []


def _manifest_problems(
    path: Path, stage: Stage, trial: EntrypointTrial | None, entrypoints: dict[str, Found]
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
    if document is not None:
        references = named_by(document.source.data)
        known = lookup_beside(path).known_names
        names = name_problems(document.source, references, known, team=document.namespace)
        problems += at_stage(tuple(names), stage)
    return [FileProblem(str(path), each) for each in problems]
