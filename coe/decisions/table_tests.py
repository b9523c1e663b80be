"""Run the tests of decision tables, which are data: a `tests.yaml` beside the tables.

    tests:
      - name: a small purchase is nobody's business
        decision: purchase-approval.yaml      # the file; not needed if there is one table
        input: {amount: "500.00", kind: goods}
        expect: {output: {level: nobody}, rules: [small]}
      - name: a fraction of a cent is no amount
        decision: purchase-approval.yaml
        input: {amount: "0.005", kind: goods}
        expect: {fault: input, problems: [{code: INPUT_VALUE, path: /amount}]}

`output` and `rules` must be equal to the answer; `fault` is `input`, `no rule`, `several rules` or
`sum`; of `problems` the members that are given must be equal. A rule that fires in no test is
reported.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from coe.decisions.document import DEFAULT
from coe.decisions.load import load_decision
from coe.decisions.table import DecisionFault, DecisionTable
from coe.errors import Problem, errors_in
from coe.json_types import JSON
from coe.language.source import Source, Unreadable, point, read
from coe.language.suggestions import did_you_mean

TESTS: Final = "tests.yaml"
_CODE: Final = "DEC030"
_KEYS: Final = ("name", "decision", "input", "expect")
_EXPECTED: Final = ("output", "rules", "fault", "problems")


@dataclass(frozen=True, slots=True)
class TableTestResult:
    """The result of one test, which passed if it has no failures."""

    name: str
    line: int | None
    failures: tuple[str, ...]


@dataclass(slots=True)
class TableResult:
    """A table, the results of its tests, and the rules that fired in them."""

    file: str
    table: DecisionTable | None
    problems: tuple[Problem, ...]
    cases: list[TableTestResult] = field(default_factory=list)
    fired: set[str] = field(default_factory=set)

    @property
    def rules(self) -> tuple[str, ...]:
        """The ids of the rules, and the default if there is one."""
        if self.table is None:
            return ()
        default = () if self.table.document.default is None else (DEFAULT,)
        return (*(rule.id for rule in self.table.rules), *default)

    @property
    def unfired(self) -> tuple[str, ...]:
        """The rules that fired in no test."""
        return tuple(rule for rule in self.rules if rule not in self.fired)

    @property
    def passed(self) -> bool:
        """Whether the table has no errors, every test passed, and every rule fired."""
        return (
            not errors_in(self.problems)
            and not self.unfired
            and not any(case.failures for case in self.cases)
        )


def run_tests(
    files: Mapping[str, str], *, only: str | None = None
) -> tuple[list[TableResult], tuple[Problem, ...]]:
    """Run the tests of a folder's files (name to text): a result for each table, and problems.

    A file without a `decision` is no table, and is ignored. With `only`, the name of a file, tests
    of other tables are left out.
    """
    tables = {
        name: _loaded(name, text)
        for name, text in sorted(files.items())
        if name.endswith(".yaml") and name != TESTS and _is_table(text)
    }
    try:
        source = read(files.get(TESTS, "tests: []"), file=TESTS)
    except Unreadable as error:
        return list(tables.values()), (error.problem,)
    tests = source.data.get("tests") if isinstance(source.data, dict) else None
    if not isinstance(tests, list):
        problem = source.problem(_CODE, "a file of tests has a list `tests`", "")
        return list(tables.values()), (problem,)
    problems: list[Problem] = []
    for index, test in enumerate(tests):
        if only is not None and isinstance(test, dict) and test.get("decision", only) != only:
            continue
        problems += _try(source, point("tests", index), test, tables)
    return list(tables.values()), tuple(problems)


def _is_table(text: str) -> bool:
    try:
        data = read(text).data
    except Unreadable:
        return True
    return isinstance(data, dict) and "decision" in data


def _loaded(name: str, text: str) -> TableResult:
    loaded = load_decision(text, file=name)
    return TableResult(name, loaded.table, loaded.problems)


def _try(source: Source, path: str, test: JSON, tables: Mapping[str, TableResult]) -> list[Problem]:
    if not isinstance(test, dict):
        return [source.problem(_CODE, "a test is an object", path)]
    for key in test:
        if key not in _KEYS:
            message = f"a test has no `{key}`{did_you_mean(key, _KEYS)}"
            return [source.problem(_CODE, message, f"{path}{point(key)}")]
    name = test.get("decision", next(iter(tables)) if len(tables) == 1 else None)
    result = tables.get(str(name)) if name is not None else None
    if result is None:
        message = f"there is no table `{name}`{did_you_mean(str(name), list(tables))}"
        if name is None:
            message = "the test does not name its `decision`"
        return [source.problem(_CODE, message, path)]
    expect = test.get("expect")
    if not isinstance(expect, dict) or not expect:
        message = f"a test says what to `expect`: {', '.join(_EXPECTED)}"
        return [source.problem(_CODE, message, path)]
    for key in expect:
        if key not in _EXPECTED:
            message = f"a test expects no `{key}`{did_you_mean(key, _EXPECTED)}"
            return [source.problem(_CODE, message, f"{path}/expect{point(key)}")]
    if result.table is not None:
        failures = tuple(_differences(result, result.table, test.get("input"), expect))
        result.cases.append(TableTestResult(str(test.get("name")), source.line(path), failures))
    return []


def _differences(
    result: TableResult, table: DecisionTable, data: JSON, expect: Mapping[str, JSON]
) -> list[str]:
    try:
        decided = table.decide(data)
    except DecisionFault as fault:
        found: dict[str, Any] = {
            "fault": fault.kind.value,
            "problems": [{"code": each.code, "path": each.path} for each in fault.problems],
        }
        reason = f" ({fault})"
    else:
        result.fired.update(decided.rules)
        found = {"output": decided.outputs, "rules": list(decided.rules)}
        reason = ""
    return [
        f"{name}: expected {wanted}, found {found.get(name)}{reason}"
        for name, wanted in expect.items()
        if not _fits(wanted, found.get(name), exactly=name != "problems")
    ]


def _fits(wanted: JSON, found: Any, *, exactly: bool) -> bool:
    if exactly or not isinstance(wanted, list) or not isinstance(found, list):
        return bool(wanted == found)
    return len(wanted) == len(found) and all(
        isinstance(one, dict) and all(other.get(key) == value for key, value in one.items())
        for one, other in zip(wanted, found, strict=True)
    )
