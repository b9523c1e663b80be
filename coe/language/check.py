"""Check files offline; print the problems as text, JSON or SARIF (`coe flow check`)."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from coe.errors import Problem, Severity
from coe.language.lint import Lookup, Stage, Standards, in_order, lint_all
from coe.language.load import LoadedDefinition, load
from coe.language.recovery import RecoveredDocument, recover
from coe.language.source import MAX_BYTES

_SARIF_LEVELS: Final = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}


@dataclass(frozen=True, slots=True)
class FileProblem:
    """A problem and its file."""

    file: str
    problem: Problem

    def to_json(self) -> dict[str, str | int | None]:
        """An object of the list that `coe flow check --output json` prints."""
        problem = self.problem
        return {
            "file": self.file,
            "line": problem.line,
            "column": problem.column,
            "code": problem.code,
            "severity": problem.severity.value,
            "message": problem.message,
            "path": problem.path,
            "help": problem.help,
        }

    def __str__(self) -> str:
        """One line in the form of compilers: file:line:column, severity, code, message."""
        problem = self.problem
        place = ":".join(str(part) for part in (self.file, problem.line, problem.column) if part)
        text = f"{place}: {problem.severity.value.lower()} {problem.code}: {problem.message}"
        return text + (f" ({problem.help})" if problem.help else "")


def check(
    paths: Iterable[Path],
    *,
    lookup: Callable[[Path], Lookup] | None = None,
    standards: Standards | None = None,
    stage: Stage = Stage.DRAFT,
) -> list[FileProblem]:
    """The problems of definitions, file by file, in the order of the text.

    `lookup` gives what the definition in a file can refer to; without it, nothing is looked up.
    The expressions of all files are compiled together: a hundred files take well under a second.
    """
    paths = list(paths)
    with _no_collection():
        read = [(str(path), read_file(path)) for path in paths]
        recovered = [_recovered(loaded) for _, loaded in read]
        sound = [
            (path, definition)
            for path, (_, loaded), recovered_ in zip(paths, read, recovered, strict=True)
            if (definition := loaded.definition or (recovered_.definition if recovered_ else None))
        ]
        known = [lookup(path) if lookup else None for path, _ in sound]
        definitions = [definition for _, definition in sound]
        linted = iter(lint_all(definitions, known=known, standards=standards, stage=stage))
    found: list[FileProblem] = []
    for (file, loaded), recovered_ in zip(read, recovered, strict=True):
        problems = list(loaded.problems)
        if loaded.definition:
            problems = list(next(linted))
        elif recovered_:
            problems += recovered_.keep(next(linted), loaded.problems)
        found += [FileProblem(file, problem) for problem in in_order(problems)]
    return found


def _recovered(loaded: LoadedDefinition) -> RecoveredDocument | None:
    """A definition in place of one that does not load, so that an error does not hide others."""
    if loaded.definition or not loaded.source or not isinstance(loaded.source.data, dict):
        return None
    return recover(loaded.source)


def read_file(path: Path) -> LoadedDefinition:
    """Load a definition from a file; a file that cannot be read is a problem."""
    text, problem = read_text(path)
    return load(text, file=str(path)) if problem is None else LoadedDefinition(None, (problem,))


def read_text(path: Path) -> tuple[str, Problem | None]:
    """The text of a file, or the problem if it has none; of a file that is too large its start."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        return "", unreadable(f"cannot read the file: {error.strerror}")
    try:
        return content.decode("utf-8-sig"), None
    except UnicodeDecodeError as error:
        if len(content) > MAX_BYTES and error.end >= MAX_BYTES:  # cut within a character
            return content[: error.start].decode("utf-8-sig") + 4 * " ", None
        return "", _not_text(content, error.start)


def unreadable(message: str, help: str | None = None) -> Problem:
    """The problem of a file that cannot be checked, located at its start."""
    return Problem("OWS007", message, line=1, column=1, help=help)


def _not_text(content: bytes, place: int) -> Problem:
    before = content[:place]
    column = place - before.rfind(b"\n")
    return Problem("OWS007", "the file is not UTF-8", line=before.count(b"\n") + 1, column=column)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Hold the garbage collector: it would take a third of the time, to find that all is in use."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def has_errors(found: Sequence[FileProblem]) -> bool:
    """Whether any problem is an error."""
    return any(each.problem.severity is Severity.ERROR for each in found)


# ---------------------------------------------------------------- output
def as_sarif(found: Sequence[FileProblem], tool: str = "coe flow check") -> str:
    """SARIF 2.1.0, which code hosts display beside the lines of a change."""
    codes = sorted({each.problem.code for each in found})
    driver = {"name": tool, "rules": [{"id": code} for code in codes]}
    results = [_sarif_result(each, codes) for each in found]
    log = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
        ],
    }
    return json.dumps(log, indent=2, ensure_ascii=False) + "\n"


def _uri(file: str) -> str:
    """The URI of a file, relative if its path is."""
    path = Path(file)
    return path.as_uri() if path.is_absolute() else quote(path.as_posix())


def _sarif_result(each: FileProblem, codes: Sequence[str]) -> dict[str, Any]:
    problem = each.problem
    physical: dict[str, Any] = {"artifactLocation": {"uri": _uri(each.file)}}
    if problem.line is not None:
        physical["region"] = {"startLine": problem.line, "startColumn": problem.column or 1}
    location: dict[str, Any] = {"physicalLocation": physical}
    if problem.path:
        location["logicalLocations"] = [{"fullyQualifiedName": problem.path}]
    text = problem.message + (f" ({problem.help})" if problem.help else "")
    return {
        "ruleId": problem.code,
        "ruleIndex": codes.index(problem.code),
        "level": _SARIF_LEVELS[problem.severity],
        "message": {"text": text},
        "locations": [location],
    }
