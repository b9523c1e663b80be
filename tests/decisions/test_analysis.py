"""Gaps, overlaps and dead rules: found exactly, as trying every case would find them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from coe.decisions.analysis import analyse
from coe.decisions.load import load_decision, load_decision_source
from coe.decisions.search import Finding, FindingKind, Search
from coe.decisions.table import DecisionFault, DecisionTable
from coe.errors import Severity
from coe.language.source import Source
from tests.factories.decision_tables import APPROVAL, document, unchecked


def reported(text: str) -> list[tuple[str, int | None, str]]:
    return [(each.code, each.line, each.message) for each in load_decision(text).problems]


# ---------------------------------------------------------------- by example
def test_a_gap_is_reported_with_an_example() -> None:
    [(code, line, message)] = reported(APPROVAL.replace('"> 10000.00"', '"> 20000.00"'))
    assert (code, line) == ("DEC010", 8)
    assert "amount: [10000.01..20000.00]" in message
    assert '{"amount": "10000.01", "customer": {"segment": "business"}}' in message


def test_a_gap_that_is_one_point_wide_is_found() -> None:
    [(code, _, message)] = reported(APPROVAL.replace("(500.00..10000.00]", "(500.00..10000.00)"))[
        :1
    ]
    assert code == "DEC010"
    assert "amount: 10000.00, such as" in message


def test_without_decimals_there_are_numbers_between_two_cents() -> None:
    text = APPROVAL.replace(", decimals: 2", "").replace('"> 10000.00"', '">= 10000.01"')
    [(code, _, message)] = reported(text)
    assert code == "DEC010"
    assert "amount: (10000.00..10000.01)" in message
    assert '"10000.005"' in message
    assert reported(APPROVAL.replace('"> 10000.00"', '">= 10000.01"')) == []


def test_a_default_or_a_word_about_it_lets_a_gap_be() -> None:
    gap = APPROVAL.replace('"> 10000.00"', '"> 20000.00"')
    assert reported(gap + "default: {level: board}\n") == []
    assert reported(gap + "complete: false\n") == []
    assert reported(gap.replace("unique", "collect")) == []


def test_an_overlap_names_both_rules_and_a_case() -> None:
    [(code, line, message)] = reported(APPROVAL.replace('"> 10000.00"', '">= 10000.00"'))[:1]
    assert (code, line) == ("DEC011", 12)
    assert "the rules `business` (line 10) and `large` (line 12) both fire" in message
    assert '{"amount": "10000.00", "customer": {"segment": "business"}}' in message
    assert (
        reported(APPROVAL.replace('"> 10000.00"', '">= 10000.00"').replace("unique", "first")) == []
    )


def test_a_rule_whose_cases_others_cover_is_unreachable() -> None:
    text = APPROVAL.replace("unique", "first").replace(
        "  - {id: large",
        '  - {id: late, when: {amount: "[1..2]"}, then: {level: none}}\n'
        '  - {id: both, when: {amount: "[400..600]"}, then: {level: none}}\n  - {id: large',
    )
    found = load_decision(text)
    assert found.table is not None
    assert [each.severity for each in found.problems] == [Severity.WARNING] * 2
    first, second = [each.message for each in found.problems]
    assert first == "the rule `late` can never fire: `small` (line 9) covers all its cases"
    assert "`both` can never fire: `small` (line 9) and `business` (line 10) and" in second
    assert second.endswith("cover all its cases")


def test_a_rule_that_contradicts_the_bounds_is_dead() -> None:
    text = APPROVAL.replace("segment: private}, then", 'amount: "< 0", segment: private}, then')
    text = text.replace('amount: "(500.00..10000.00]", amount', "amount")
    codes = {code for code, _, _ in reported(text)}
    assert codes == {"DEC010", "DEC012"}


def test_at_most_twenty_findings_of_a_kind_are_reported() -> None:
    rules = "".join(
        f"  - {{id: r{n}, when: {{x: {n}, y: {n}}}, then: {{hit: true}}}}\n"
        for n in range(0, 100, 2)
    )
    text = document(
        "inputs: [{name: x, type: integer}, {name: y, type: integer}]\n"
        "outputs: [{name: hit, type: boolean}]\nrules:\n" + rules
    )
    found = reported(text)
    assert len(found) == 21
    assert "the first 20" in found[-1][2]


def test_a_table_that_is_too_large_is_reported_and_never_passes() -> None:
    checked = unchecked(APPROVAL)
    assert {each.code for each in analyse(checked, steps=3)} == {"DEC013"}
    assert analyse(checked, steps=3)[0].severity is Severity.ERROR


def test_a_text_without_an_enumeration_leaves_every_other_text_open() -> None:
    text = APPROVAL.replace("enum: [business, private], ", "")
    [(_, _, message)] = reported(text)
    assert 'segment: not("business", "private")' in message
    assert '"segment": "other"' in message


# ---------------------------------------------------------------- against trying every case
GRIDS: dict[str, Sequence[Any]] = {
    "integer": range(-1, 8),
    "number": [str(Decimal(n) / 4) for n in range(-2, 30)],
    "string": ["a", "b", "c", "elsewhere"],
    "boolean": [False, True],
    "date": [f"2026-01-0{n}" for n in range(1, 9)],
}
INPUTS: dict[str, dict[str, Any]] = {
    "integer": {"type": "integer", "minimum": -1, "maximum": 7},
    "number": {"type": "number"},
    "string": {"type": "string"},
    "boolean": {"type": "boolean"},
    "date": {"type": "date", "minimum": "2026-01-01", "maximum": "2026-01-08"},
}
LITERALS: dict[str, st.SearchStrategy[str]] = {
    "integer": st.integers(-1, 7).map(str),
    "number": st.integers(0, 12).map(lambda n: str(Decimal(n) / 2)),
    "string": st.sampled_from(["a", "b", "c"]),
    "boolean": st.sampled_from(["true", "false"]),
    "date": st.integers(1, 8).map(lambda n: f"2026-01-0{n}"),
}


@st.composite
def conditions(draw: st.DrawFn, kind: str, *, optional: bool) -> str:
    literal = LITERALS[kind]
    forms = ["-", "value", "several", "not"]
    if kind not in {"string", "boolean"}:
        forms += ["compare", "compare", "interval", "interval"]
    if optional:
        forms += ["null"]
    match draw(st.sampled_from(forms)):
        case "value":
            return draw(literal)
        case "several":
            return ", ".join(draw(st.lists(literal, min_size=1, max_size=3)))
        case "not":
            return f"not({', '.join(draw(st.lists(literal, min_size=1, max_size=2)))})"
        case "compare":
            return draw(st.sampled_from(["<", "<=", ">", ">=", "!="])) + " " + draw(literal)
        case "interval":
            ends = sorted([draw(literal), draw(literal)], key=_sortable)
            opening, closing = draw(st.sampled_from("[(")), draw(st.sampled_from("])"))
            return f"{opening}{ends[0]}..{ends[1]}{closing}"
        case other:
            return other


def _sortable(text: str) -> Any:
    return text if "-0" in text else Fraction(text)


@st.composite
def tables(draw: st.DrawFn) -> DecisionTable:
    kinds = draw(st.lists(st.sampled_from(sorted(INPUTS)), min_size=1, max_size=3))
    inputs = [
        {"name": f"i{n}", "optional": draw(st.booleans())} | INPUTS[kind]
        for n, kind in enumerate(kinds)
    ]
    rules = []
    for number in range(draw(st.integers(1, 5))):
        when = {
            each["name"]: draw(conditions(each["type"], optional=each["optional"]))
            for each in inputs
        }
        rules.append({"id": f"r{number}", "when": when, "then": {"out": number}})
    source = {
        "decision": {"namespace": "a", "name": "b", "version": "1.0.0"},
        "hitPolicy": "collect",
        "inputs": inputs,
        "outputs": [{"name": "out", "type": "integer"}],
        "rules": rules,
    }
    loaded = load_decision_source(Source(source), whole=False)
    assert loaded.table is not None, loaded.problems
    return loaded.table


def cases(checked: DecisionTable) -> list[dict[str, Any]]:
    """Every case of a grid that is finer than conditions can distinguish."""
    grids = [
        [*GRIDS[each.type], *([None] if each.optional else [])] for each in checked.document.inputs
    ]
    names = [each.name for each in checked.document.inputs]
    return [dict(zip(names, values, strict=True)) for values in itertools.product(*grids)]


def fired(checked: DecisionTable, case: dict[str, Any]) -> tuple[str, ...]:
    return checked.decide(case).rules


def whole(checked: DecisionTable, kind: FindingKind) -> list[Finding]:
    search = Search(checked, 10_000_000)
    match kind:
        case FindingKind.GAP:
            return list(search.gaps())
        case FindingKind.OVERLAP:
            return list(search.overlaps())
        case _:
            return list(search.unreachable(first=True))


@settings(max_examples=80, deadline=None)
@given(tables())
def test_gaps_are_where_no_rule_fires(checked: DecisionTable) -> None:
    found = whole(checked, FindingKind.GAP)
    for gap in found:
        assert gap.case is not None
        assert fired(checked, gap.case) == ()
    tried = cases(checked)
    is_open = [fired(checked, case) == () for case in tried]
    assert bool(found) == any(is_open)
    # Each open case lies in one of the regions: a table of the gaps answers exactly these.
    if found:
        rules = [{"id": f"g{n}", "when": dict(gap.region), "then": {"out": n}}
                 for n, gap in enumerate(found)]  # fmt: skip
        data = dict(checked.source.data) | {"rules": rules[:1000]}  # type: ignore[arg-type]
        gaps = load_decision_source(Source(data), whole=False)  # type: ignore[arg-type]
        assert gaps.table is not None, gaps.problems
        for case, expected in zip(tried, is_open, strict=True):
            assert (len(fired(gaps.table, case)) == 1) is expected, case


@settings(max_examples=80, deadline=None)
@given(tables())
def test_overlaps_are_the_pairs_that_fire_together(checked: DecisionTable) -> None:
    found = whole(checked, FindingKind.OVERLAP)
    for overlap in found:
        assert overlap.case is not None
        assert set(overlap.rules) <= set(fired(checked, overlap.case))
    tried = {
        pair for case in cases(checked) for pair in itertools.combinations(fired(checked, case), 2)
    }
    assert {overlap.rules for overlap in found} == tried


@settings(max_examples=80, deadline=None)
@given(tables())
def test_dead_rules_are_those_that_are_never_the_first(checked: DecisionTable) -> None:
    found = {finding.rules[0] for finding in whole(checked, FindingKind.UNREACHABLE)}
    alive = {rules[0] for case in cases(checked) if (rules := fired(checked, case))}
    assert found == {rule.id for rule in checked.rules} - alive


@settings(max_examples=60, deadline=None)
@given(tables(), st.data())
def test_a_unique_table_that_passes_answers_every_case_once(
    checked: DecisionTable, data: st.DataObject
) -> None:
    document_of = dict(checked.source.data) | {"hitPolicy": "unique"}  # type: ignore[arg-type]
    passed = load_decision_source(Source(document_of)).table  # type: ignore[arg-type]
    tried = cases(checked)
    once = all(len(fired(checked, case)) == 1 for case in tried)
    assert (passed is not None) is once
    if passed is not None:
        case = data.draw(st.sampled_from(tried))
        assert passed.decide(case).rules == fired(checked, case)


def test_a_case_that_no_rule_answers_is_a_fault_of_the_same_kind() -> None:
    checked = unchecked(APPROVAL.replace('"> 10000.00"', '"> 20000.00"'))
    [gap] = whole(checked, FindingKind.GAP)
    try:
        checked.decide(gap.case)
    except DecisionFault as fault:
        assert fault.problems[0].code == "DEC020"
    else:
        raise AssertionError
