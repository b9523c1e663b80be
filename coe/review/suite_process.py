"""Runs the tests of one version, in a process that ends with them.

A suite is somebody's text: it may compute for ever or need all memory. This process has limits of
its own, no environment and no database, and is killed after the time limit. It reads the request
from standard input::

    {kind, files: {path: text}, tables: {ref: text}, aliases: {ref: ref},
    names: {kind: [name]}, standards, memory}

and writes the result to standard output: `{cases: [{name, failures}], problems, branches,
branches_reached, steps, steps_reached, missed, seconds}`, each problem as an object of its fields.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from coe.catalog.models import EntryKind
from coe.decisions.table_tests import TESTS, run_tests
from coe.errors import Problem, Severity
from coe.language.check import FileProblem
from coe.language.expressions.evaluator import Expressions
from coe.language.lint.standards import Standards
from coe.language.lint.standards_rules import COVERAGE_STANDARD
from coe.language.names.directory import KnownNames, Names
from coe.language.names.references import NameKind
from coe.templates.manifest import in_file
from coe.testing.coverage import share
from coe.testing.decision_files import CatalogTables
from coe.testing.run_suite import minimum, run_suite

TABLE: Final = "table.yaml"
"""The file of the table in a request of kind DECISION."""


async def run(request: Mapping[str, Any]) -> dict[str, Any]:
    """The result of a request."""
    standards = Standards.model_validate(request["standards"])
    since = time.perf_counter()
    if request["kind"] == EntryKind.DECISION:
        found = _table(request["files"], standards)
    else:
        found = await _suite(request, standards)
    return {**found, "seconds": round(time.perf_counter() - since, 3)}


async def _suite(request: Mapping[str, Any], standards: Standards) -> dict[str, Any]:
    tables = CatalogTables(request["tables"], request["aliases"])
    async with Expressions(workers=1) as expressions:
        result = await run_suite(
            request["files"],
            expressions.evaluate,
            standards=standards,
            runner=tables,
            names=_names(request["names"]),
        )
    covered = result.covered
    steps = covered.missed_steps if covered else ()
    branches = covered.missed_branches if covered else ()
    return {
        "cases": [_case(case.name, case.failures) for case in result.cases],
        "problems": [_problem(_named(each)) for each in result.problems],
        "branches": covered.branches if covered else 0,
        "branches_reached": covered.branches - len(covered.missed_branches) if covered else 0,
        "steps": covered.steps if covered else 0,
        "steps_reached": covered.steps - len(covered.missed_steps) if covered else 0,
        "missed": [*(f"{each.name} is never reached" for each in steps), *map(str, branches)],
    }


def _table(files: Mapping[str, str], standards: Standards) -> dict[str, Any]:
    name = next(each for each in files if each != TESTS)
    [table], problems = run_tests(files, only=name)
    fired, rules = len(table.rules) - len(table.unfired), len(table.rules)
    bound = minimum(standards)
    found = [in_file(TESTS, each) for each in problems]
    if bound is not None and share(fired, rules) < bound:
        message = f"the tests let {fired} of the {rules} rules fire, not {bound} %"
        standard = standards.standards[COVERAGE_STANDARD]
        found.append(Problem(COVERAGE_STANDARD, message, standard.severity, help=standard.why))
    cases = [
        _case(
            case.name,
            [Problem("TEST_FAILED", each, line=case.line) for each in case.failures],
        )
        for case in table.cases
    ]
    return {
        "cases": cases,
        "problems": [_problem(each) for each in found],
        "branches": rules,
        "branches_reached": fired,
        "steps": 0,
        "steps_reached": 0,
        "missed": list(table.unfired),
    }


def _names(given: Mapping[str, Sequence[str]]) -> KnownNames:
    return KnownNames(
        {NameKind[kind]: Names(frozenset(names), ()) for kind, names in given.items()}
    )


def _case(name: str, failures: Iterable[Problem]) -> dict[str, Any]:
    return {"name": name, "failures": [_problem(in_file(TESTS, each)) for each in failures]}


def _named(found: FileProblem) -> Problem:
    """The problem of a file, which it names, but for a problem of no place."""
    problem = found.problem
    return problem if problem.code == COVERAGE_STANDARD else in_file(found.file, problem)


def _problem(problem: Problem) -> dict[str, Any]:
    return asdict(problem)


def main() -> None:
    """Answer one request."""
    request = json.loads(sys.stdin.buffer.read())
    resource.setrlimit(resource.RLIMIT_AS, (request["memory"], request["memory"]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        answer = asyncio.run(run(request))
    except (MemoryError, RecursionError) as error:
        reason = "memory" if isinstance(error, MemoryError) else "depth"
        message = f"the tests need more {reason} than they may have"
        answer = {"stopped": asdict(Problem("TEST_FAILED", message, Severity.ERROR))}
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main()
