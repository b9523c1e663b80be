"""Find the gaps, the overlaps and the unreachable rules of a decision table.

The analysis is exact: every input is divided into atoms (`coe.decisions.partitions`), and the cases
of a table are their combinations. The work is bounded: a table that needs more is reported as too
large, and never passes as checked.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

from coe.decisions.document import DEFAULT
from coe.decisions.search import Finding, FindingKind, Search, TooLarge
from coe.decisions.table import DecisionTable
from coe.errors import Problem, Severity

MAX_FINDINGS_OF_A_KIND: Final = 20
"""Findings of one kind that are reported for one table."""
MAX_SEARCH_STEPS: Final = 2_000_000
"""Visits of an atom: about a second of processor time."""


def analyse(table: DecisionTable, *, steps: int = MAX_SEARCH_STEPS) -> list[Problem]:
    """Report the findings: gaps and overlaps are errors, unreachable rules are warnings."""
    document = table.document
    search = Search(table, steps)
    problems: list[Problem] = []
    if document.hit_policy == "unique":
        problems += _problems(table, search.overlaps())
    try:
        if document.default is None and document.complete and document.hit_policy != "collect":
            problems += _problems(table, search.gaps())
    except TooLarge:
        problems.append(_too_large(table, "for gaps", Severity.ERROR))
    try:
        problems += _problems(table, search.unreachable(first=document.hit_policy == "first"))
    except TooLarge:
        problems.append(_too_large(table, "for rules that never fire", Severity.WARNING))
    return problems


# ---------------------------------------------------------------- problems
def _problems(table: DecisionTable, found: Iterator[Finding]) -> Iterator[Problem]:
    for number, finding in enumerate(found):
        if number == MAX_FINDINGS_OF_A_KIND:
            message = f"there are more; these are the first {MAX_FINDINGS_OF_A_KIND}"
            yield _at(
                table, _CODES[finding.kind], message, "/rules", severity=_severity(finding.kind)
            )
            return
        yield _problem(table, finding)


_MAX_TEXT: Final = 100
_CODES: Final = {
    FindingKind.GAP: "DEC010",
    FindingKind.OVERLAP: "DEC011",
    FindingKind.UNREACHABLE: "DEC012",
}


def _severity(kind: FindingKind) -> Severity:
    return Severity.WARNING if kind is FindingKind.UNREACHABLE else Severity.ERROR


def _problem(table: DecisionTable, finding: Finding) -> Problem:
    code, severity = _CODES[finding.kind], _severity(finding.kind)
    region = " and ".join(f"{name}: {_short(text)}" for name, text in finding.region.items())
    case = json.dumps(finding.case, ensure_ascii=False)
    match finding.kind:
        case FindingKind.GAP:
            message = f"no rule for {region or 'any case'}, such as {case}"
            help = f"add a rule or a `{DEFAULT}`, or set `complete: false`"
            return _at(table, code, message, "/rules", severity=severity, help=help)
        case FindingKind.OVERLAP:
            names = " and ".join(_named(table, each) for each in finding.rules)
            message = f"the rules {names} both fire for {region or 'every case'}, such as {case}"
            help = "narrow one of them, or set the hit policy `first`"
            return _at(
                table, code, message, _path(table, finding.rules[1]), severity=severity, help=help
            )
        case FindingKind.UNREACHABLE:
            rule, *before = finding.rules
            message = f"the rule `{rule}` can never fire: "
            if before:
                names = " and ".join(_named(table, each) for each in before)
                message += f"{names} {'covers' if len(before) == 1 else 'cover'} all its cases"
            else:
                message += "one of its conditions is true of no value"
            return _at(table, code, message, _path(table, rule), severity=severity)


def _short(text: str) -> str:
    return text if len(text) <= _MAX_TEXT else text[:_MAX_TEXT] + " …"


def _too_large(table: DecisionTable, what: str, severity: Severity) -> Problem:
    message = f"the table has too many combinations to be checked {what}"
    help = "split it into two tables, or name fewer different values"
    return _at(table, "DEC013", message, "/rules", severity=severity, help=help)


def _named(table: DecisionTable, rule: str) -> str:
    line = next((each.line for each in table.rules if each.id == rule), None)
    return f"`{rule}` (line {line})" if line else f"`{rule}`"


def _path(table: DecisionTable, rule: str) -> str:
    return f"/rules/{[each.id for each in table.rules].index(rule)}"


def _at(
    table: DecisionTable,
    code: str,
    message: str,
    path: str,
    *,
    severity: Severity,
    help: str | None = None,
) -> Problem:
    return table.source.problem(code, message, path, severity=severity, help=help)
