"""Decision tables in files: check, ask and test them in this process, without a server."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coe.cli.folder_lookup import lookup_beside
from coe.cli.output import problem_line
from coe.decisions.load import load_decision
from coe.decisions.table import DecisionFault
from coe.decisions.table_tests import TESTS, TableResult, run_tests
from coe.errors import CoeError, Invalid, Problem
from coe.json_types import JSON
from coe.language.check import FileProblem, as_sarif
from coe.language.lint.stages import Stage, at_stage
from coe.language.names.directory import name_problems
from coe.language.names.references import named_by_table


def check_tables(files: Sequence[Path]) -> list[FileProblem]:
    """Check tables and the tables in folders; the problems are in the order of the arguments.

    Raises:
        CoeError: A file or folder does not exist, or a folder has no table.
    """
    return [
        FileProblem(str(path), problem)
        for file in files
        for path in _tables_of(file)
        for problem in _problems(path)
    ]


def sarif(found: Sequence[FileProblem]) -> str:
    """Format problems as SARIF."""
    return as_sarif(found, tool="coe decision check")


def decide(file: Path, data: JSON) -> dict[str, JSON]:
    """Decide an input with a table; returns the output of the function `decision`.

    Raises:
        Invalid: The table has errors, or no answer to this input.
    """
    loaded = load_decision(_text(file), file=str(file))
    if loaded.table is None:
        raise Invalid(loaded.problems, f"{file} is not a valid decision table")
    try:
        return loaded.table.answer(loaded.table.decide(data))
    except DecisionFault as fault:
        message = f"{loaded.table.ref} has no answer to this input"
        raise Invalid(fault.problems, message) from None


def _problems(path: Path) -> tuple[Problem, ...]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        return (Problem("OWS007", "the file is not UTF-8"),)
    except OSError as error:
        return (Problem("OWS007", f"cannot read the file: {error.strerror}"),)
    loaded = load_decision(text, file=str(path))
    problems = loaded.problems
    if loaded.table is not None and loaded.source is not None:
        references = named_by_table(loaded.source.data)
        known, team = lookup_beside(path).known_names, loaded.table.document.decision.namespace
        names = tuple(name_problems(loaded.source, references, known, team=team))
        problems += at_stage(names, Stage.DRAFT)
    return problems


def _tables_of(file: Path) -> list[Path]:
    if file.is_file():
        return [file]
    inside = [path for path in sorted(file.rglob("*.yaml")) if path.name != TESTS]
    if not inside:
        raise CoeError(f"{file}: no such file, or a folder without tables", code="INVALID")
    return inside


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise CoeError(f"{file} cannot be read: {error}", code="INVALID") from None


@dataclass(frozen=True, slots=True)
class TestedFolder:
    """The results of a folder's tables, and the problems of its file of tests."""

    folder: Path
    tables: tuple[TableResult, ...]
    problems: tuple[Problem, ...]

    @property
    def passed(self) -> bool:
        """Whether all tests passed, without a problem."""
        return not self.problems and all(table.passed for table in self.tables)

    def to_json(self) -> dict[str, Any]:
        """Convert to an item of `coe decision test --output json`."""
        return {
            "folder": str(self.folder),
            "problems": [FileProblem(TESTS, each).to_json() for each in self.problems],
            "tables": [_table_json(table) for table in self.tables],
        }

    def lines(self) -> list[str]:
        """Format as lines of text."""
        lines = [problem_line(each, str(self.folder / TESTS)) for each in self.problems]
        for table in self.tables:
            file = str(self.folder / table.file)
            lines += [problem_line(each, file) for each in table.problems]
            for case in table.cases:
                lines.append(f"{'FAILED' if case.failures else 'passed'}  {file}: {case.name}")
                lines += [f"        {failure}" for failure in case.failures]
            fired = len(table.rules) - len(table.unfired)
            lines.append(f"{file}: {fired} of {len(table.rules)} rules fired")
            lines += [f"        no test lets `{rule}` fire" for rule in table.unfired]
        return lines


def test_folders(folders: Sequence[Path]) -> list[TestedFolder]:
    """Run each `tests.yaml` at or below the folders against the tables beside it.

    Raises:
        CoeError: A folder has no tests, or a file cannot be read.
    """
    found: dict[Path, None] = {}
    for folder in folders:
        suites = sorted(path.parent for path in folder.rglob(TESTS))
        if not suites:
            raise CoeError(f"{folder}: no {TESTS} at or below it", code="INVALID")
        found |= dict.fromkeys(suites)
    tested = []
    for folder in found:
        files = {path.name: _text(path) for path in folder.glob("*.yaml")}
        tables, problems = run_tests(files)
        tested.append(TestedFolder(folder, tuple(tables), problems))
    return tested


def _table_json(table: TableResult) -> dict[str, Any]:
    return {
        "file": table.file,
        "decision": table.table.ref if table.table else None,
        "problems": [FileProblem(table.file, each).to_json() for each in table.problems],
        "tests": [{"name": case.name, "failures": list(case.failures)} for case in table.cases],
        "rules": list(table.rules),
        "unfired": list(table.unfired),
    }


def one_line(value: JSON) -> str:
    """Format JSON on one line."""
    return json.dumps(value, ensure_ascii=False)
