"""Decision tables load with located problems, many at once, and answer exactly."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema_rs import Draft202012Validator, meta

from coe.decisions.load import load_decision
from coe.decisions.schemas import DECISION_FILE, decision_schema, input_schema, output_schema
from coe.decisions.table import DecisionFault, DecisionFaultKind
from coe.errors import Severity
from coe.language.source import read
from tests.factories.decision_tables import APPROVAL, HEAD, document, table, unchecked


def codes(text: str) -> list[tuple[str, int | None]]:
    return [(each.code, each.line) for each in load_decision(text).problems]


# ---------------------------------------------------------------- form
def test_a_good_table_has_no_problems() -> None:
    loaded = load_decision(APPROVAL)
    assert loaded.problems == ()
    assert loaded.table is not None
    assert loaded.table.ref == "finance/approval-level@1.0.0"
    assert len(loaded.table.digest) == 64


def test_every_problem_is_reported_at_once_with_its_place() -> None:
    text = document("""\
        inputs:
          - {name: amount, type: number, minimun: 0}
          - {name: "2nd", type: text}
        outputs:
          - {name: level, type: string}
        rules:
          - {id: a, when: {amount: 1}, thne: {level: x}}
        """)
    found = load_decision(text).problems
    assert [(each.code, each.line) for each in found] == [
        ("OWS010", 4),
        ("OWS012", 5),
        ("OWS012", 5),
        ("OWS010", 9),
    ]
    messages = " ".join(each.message for each in found)
    assert "did you mean `minimum`?" in messages
    assert "did you mean `then`?" in messages
    assert "'dateTime' or 'duration'" in messages


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("[]", "OWS005"),
        ("a: [", "OWS001"),
        (APPROVAL + "hitPolicy: first\n", "OWS003"),
        (APPROVAL.replace("finance, name", "Finance, name"), "OWS012"),
        (APPROVAL.replace("version: 1.0.0", "version: 1.0"), "OWS012"),
        (APPROVAL.replace("unique", "any"), "OWS012"),
        (APPROVAL.replace("/customer/segment", "customer.segment"), "OWS012"),
        (APPROVAL.replace("id: large", "id: small"), "DEC002"),
        (APPROVAL.replace("id: large", "id: default"), "DEC002"),
        (APPROVAL.replace("name: segment", "name: amount"), "DEC002"),
        (APPROVAL.replace("name: level", "name: rules"), "DEC002"),
        (APPROVAL.replace("segment: private}", "segmnt: private}"), "DEC001"),
        (APPROVAL.replace("{level: board}", "{leevl: board}"), "DEC001"),
        (APPROVAL.replace("{level: board}", "{level: bord}"), "DEC004"),
        (APPROVAL.replace("{level: board}", "{}"), "DEC004"),
        (APPROVAL + "default: {level: nobody}\n", "DEC004"),
        (APPROVAL.replace("segment: private}", "segment: privat}"), "DEC003"),
        (APPROVAL.replace('"> 10000.00"', '"> 10000.001"'), "DEC003"),
        (APPROVAL.replace('"> 10000.00"', '">> 10000.00"'), "DEC003"),
        (APPROVAL.replace("minimum: 0", "minimum: 9, maximum: 8"), "DEC005"),
        (APPROVAL.replace("enum: [business", "decimals: 2, enum: [business"), "DEC005"),
        (APPROVAL.replace("enum: [business", "minimum: a, enum: [business"), "DEC005"),
        (APPROVAL + "collect: list\n", "DEC005"),
        (APPROVAL.replace("unique", "collect") + "collect: sum\n", "DEC005"),
        (APPROVAL.replace("unique", "collect") + "collect: min\n", "DEC005"),
    ],
)
def test_a_problem_has_its_code(text: str, code: str) -> None:
    loaded = load_decision(text)
    assert loaded.table is None
    assert code in {each.code for each in loaded.problems}
    assert all(each.severity is Severity.ERROR for each in loaded.problems)


def test_a_misspelt_name_and_value_are_guessed() -> None:
    text = APPROVAL.replace("segment: private}", "segmnt: private}")
    text = text.replace("{level: board}", "{leevl: board}").replace(": business}", ": busines}")
    messages = " ".join(each.message for each in load_decision(text).problems)
    assert "there is no input `segmnt`, did you mean `segment`?" in messages
    assert "there is no output `leevl`, did you mean `level`?" in messages
    assert "did you mean `business`?" in messages


# ---------------------------------------------------------------- conditions
def one(kind: str, condition: str, *, more: str = "") -> Any:
    text = document(f"""\
        inputs: [{{name: x, type: {kind}{more}}}]
        outputs: [{{name: hit, type: boolean}}]
        rules: [{{id: yes, when: {{x: {condition}}}, then: {{hit: true}}}}]
        default: {{hit: false}}
        """)
    return table(text)


def hit(kind: str, condition: str, value: Any, *, more: str = "") -> bool:
    return one(kind, condition, more=more).decide({"x": value}).outputs["hit"]


@pytest.mark.parametrize(
    ("kind", "condition", "yes", "no"),
    [
        ("integer", '"< 10"', [9, "-5", 9.0], [10, 11]),
        ("integer", '">= 10"', [10], [9]),
        ("integer", '"[1..5)"', [1, 4], [0, 5]),
        ("integer", '"]1..5]"', [2, 5], [1, 6]),
        ("integer", '"1, 3, > 7"', [1, 3, 8], [2, 7]),
        ("integer", '"not(1, 3)"', [2], [1, 3]),
        ("integer", '"!= 4"', [3], [4]),
        ("integer", "7", [7], [8]),
        ("integer", '[1, "> 5"]', [1, 6], [2]),
        ("integer", '"-"', [1, 2], []),
        ("number", '"[0.1..0.3]"', [0.1, 0.3, "0.30", 0.2], [0.31, "0.0999"]),
        ("number", "0.3", [0.3, "0.3000"], [0.30001]),
        (
            "number",
            '"= 12345678901234567890.01"',
            ["12345678901234567890.01"],
            ["12345678901234567890.02"],
        ),
        ("string", "key", ["key"], ["keys", "Key", ""]),
        ("string", "'\"a, b\", c'", ["a, b", "c"], ["a", "b"]),
        ("string", "very important", ["very important"], ["very"]),
        ("string", "[a, b]", ["a", "b"], ["c"]),
        ("string", '"not(a, b)"', ["c", "not"], ["a", "b"]),
        ("string", "'\"-\"'", ["-"], ["x"]),
        ("string", "'\"null\"'", ["null"], ["x"]),
        ("string", "not", ["not"], ["x"]),
        ("boolean", "true", [True], [False]),
        ("boolean", '"not(true)"', [False], [True]),
        ("date", '">= 2026-01-31"', ["2026-01-31", "2027-01-01"], ["2026-01-30"]),
        ("date", "'date(\"2026-01-31\")'", ["2026-01-31"], ["2026-02-01"]),
        (
            "dateTime",
            '"< 2026-01-31T09:00:00Z"',
            ["2026-01-31T09:30:00+01:00"],
            ["2026-01-31T10:00:00+01:00", "2026-01-31T08:30:00-01:00"],
        ),
        ("duration", '"[PT1H..P2D]"', ["PT60M", "PT48H"], ["PT59M", "P3D"]),
        ("duration", "'> duration(\"P1D\")'", ["PT25H"], ["PT24H"]),
    ],
)
def test_a_condition_is_true_of_what_it_says(
    kind: str, condition: str, yes: list[Any], no: list[Any]
) -> None:
    decided = one(kind, condition)
    for value in yes:
        assert decided.decide({"x": value}).outputs == {"hit": True}, value
    for value in no:
        assert decided.decide({"x": value}).outputs == {"hit": False}, value


def test_there_being_no_value_is_a_value_of_an_optional_input() -> None:
    optional = ", optional: true"
    assert hit("string", '"null"', None, more=optional)
    assert not hit("string", '"null"', "null", more=optional)
    assert not hit("integer", '"< 5"', None, more=optional)
    assert hit("string", "not(a)", None, more=optional)
    assert not hit("string", '"not(a, null)"', None, more=optional)
    assert one("string", "a", more=optional).decide({}).outputs == {"hit": False}


@pytest.mark.parametrize(
    ("kind", "condition", "expected"),
    [
        ("integer", '"< 10 20"', "must be a whole number"),
        ("integer", "2.5", "must be a whole number"),
        ("integer", '"[5..1]"', "ends before it begins"),
        ("integer", '"[1..5"', "its end stands where `]` or `)` is expected"),
        ("integer", '"[1 5]"', "must be a whole number"),
        ("integer", '"1,"', "ends where a value is expected"),
        ("integer", '"not(1"', "its end stands where `)` is expected"),
        ("integer", '"1 ("', "`(` is one too many"),
        ("integer", '"null"', "the input must have a value"),
        ("integer", "", "is empty"),
        ("integer", '""', "is empty"),
        ("integer", "{a: 1}", "is an object"),
        ("integer", "[]", "never true"),
        ("integer", "true", "must be a whole number"),
        ("string", "5", "must be text"),
        ("string", '"< b"', "compares what has an order"),
        ("string", '"[a..b]"', "an interval is for what has an order"),
        ("boolean", "maybe", "must be true or false"),
        ("date", '"PT5M"', "must be a date"),
        ("date", "'duration(\"PT5M\")'", "is not a date"),
        ("number", "0.12345678901234567", "more digits than are kept"),
    ],
)
def test_what_is_no_condition_is_reported(kind: str, condition: str, expected: str) -> None:
    text = document(f"""\
        inputs: [{{name: x, type: {kind}}}]
        outputs: [{{name: hit, type: boolean}}]
        rules:
          - id: yes
            when:
              x: {condition}
            then: {{hit: true}}
        default: {{hit: false}}
        """)
    [problem] = load_decision(text).problems
    assert problem.code == "DEC003"
    assert problem.line == 8
    assert expected in problem.message


# ---------------------------------------------------------------- deciding
def case(amount: Any, segment: Any = "business") -> Any:
    return {"amount": amount, "customer": {"segment": segment}, "more": "is not looked at"}


def test_the_rule_that_fires_gives_the_outputs() -> None:
    decided = table(APPROVAL).decide(case("500.01", "private"))
    assert decided.outputs == {"level": "finance"}
    assert decided.rules == ("private",)
    answer = table(APPROVAL).answer(decided)
    assert answer == {
        "level": "finance",
        "decision": "finance/approval-level@1.0.0",
        "digest": table(APPROVAL).digest,
        "rules": ["private"],
    }
    assert list(Draft202012Validator(output_schema(table(APPROVAL))).iter_errors(answer)) == []


@pytest.mark.parametrize(
    ("given", "path", "expected"),
    [
        ({"customer": {"segment": "private"}}, "/amount", "is missing"),
        (case(None), "/amount", "is missing"),
        (case("12,50"), "/amount", "must be a number"),
        (case("1e3"), "/amount", "must be a number"),
        (case(amount=True), "/amount", "must be a number"),
        (case(-1), "/amount", "must be 0 or more"),
        (case("1.005"), "/amount", "must have 2 decimals or less"),
        (case(5, "Wilhelmina"), "/customer/segment", 'must be one of "business", "private"'),
        (case(5, 7), "/customer/segment", "must be text"),
        ("nothing", "/amount", "is missing"),
    ],
)
def test_a_wrong_input_is_named_and_never_quoted(given: Any, path: str, expected: str) -> None:
    with pytest.raises(DecisionFault) as raised:
        table(APPROVAL).decide(given)
    assert raised.value.kind is DecisionFaultKind.INPUT
    problem = raised.value.problems[0]
    assert problem.path == path
    assert expected in problem.message
    assert "Wilhelmina" not in str(raised.value)


def test_every_wrong_input_is_reported_at_once() -> None:
    with pytest.raises(DecisionFault) as raised:
        table(APPROVAL).decide({})
    assert [each.path for each in raised.value.problems] == ["/amount", "/customer/segment"]


def test_large_integers_and_money_are_exact() -> None:
    text = document("""\
        inputs: [{name: id, type: integer}]
        outputs: [{name: hit, type: boolean}]
        rules: [{id: even, when: {id: "9007199254740992"}, then: {hit: true}}]
        default: {hit: false}
        """)
    assert table(text).decide({"id": 2**53}).outputs == {"hit": True}
    assert table(text).decide({"id": 2**53 + 1}).outputs == {"hit": False}
    assert table(text).decide({"id": "9007199254740993"}).outputs == {"hit": False}


def test_several_rules_that_fire_at_once_are_a_fault_where_one_must() -> None:
    text = APPROVAL.replace('"> 10000.00"', '"> 400.00"')
    with pytest.raises(DecisionFault) as raised:
        unchecked(text).decide(case("450.00"))
    assert raised.value.kind is DecisionFaultKind.SEVERAL_RULES
    assert "`small` and `large`" in str(raised.value)


def test_no_rule_is_the_default_or_a_fault() -> None:
    text = APPROVAL.replace('"> 10000.00"', '"> 20000.00"') + "complete: false\n"
    with pytest.raises(DecisionFault) as raised:
        table(text).decide(case("15000.00"))
    assert raised.value.kind is DecisionFaultKind.NO_RULE
    decided = table(text + "default: {level: board}\n").decide(case("15000.00"))
    assert decided.rules == ("default",)
    assert decided.outputs == {"level": "board"}


FEES = """\
    inputs: [{name: weight, type: number}, {name: express, type: boolean}]
    outputs: [{name: fee, type: number}]
    rules:
      - {id: base, then: {fee: "4.90"}}
      - {id: heavy, when: {weight: "> 10"}, then: {fee: "0.10"}}
      - {id: fast, when: {express: true}, then: {fee: "0.20"}}
    """


@pytest.mark.parametrize(
    ("collect", "answer"),
    [
        ("list", ["4.90", "0.10", "0.20"]),
        ("sum", "5.20"),
        ("min", "0.10"),
        ("max", "4.90"),
        ("count", 3),
    ],
)
def test_collect_gathers_every_rule_in_order(collect: str, answer: Any) -> None:
    collected = table(document(FEES, policy="collect") + f"collect: {collect}\n")
    decided = collected.decide({"weight": 11, "express": True})
    assert decided.outputs == {"fee": answer}
    assert decided.rules == ("base", "heavy", "fast")
    answer = collected.answer(decided)
    assert list(Draft202012Validator(output_schema(collected)).iter_errors(answer)) == []


@pytest.mark.parametrize(
    ("collect", "answer"), [("list", []), ("sum", None), ("max", None), ("count", 0)]
)
def test_collect_of_nothing_is_an_answer(collect: str, answer: Any) -> None:
    text = document(FEES, policy="collect").replace("{id: base, ", "{id: base, when: {weight: 0}, ")
    decided = table(text + f"collect: {collect}\n").decide({"weight": 5, "express": False})
    assert decided.outputs == {"fee": answer}
    assert decided.rules == ()


@pytest.mark.parametrize(
    ("fees", "sums"),
    [
        (("5", "7", "8"), [5, 12, 20]),
        (("1", "0.5", "0.5"), [1, 1.5, 2]),
        (("1", '"2"', "3"), ["1", "3", "6"]),
    ],
)
def test_a_sum_has_one_type_whichever_rules_fire(fees: tuple[str, ...], sums: Any) -> None:
    text = document(FEES, policy="collect") + "collect: sum\n"
    for old, new in zip(('"4.90"', '"0.10"', '"0.20"'), fees, strict=True):
        text = text.replace(old, new)
    cases = ((1, False), (11, False), (11, True))
    found = [
        table(text).decide({"weight": weight, "express": express}).outputs["fee"]
        for weight, express in cases
    ]
    assert found == sums


def test_a_sum_that_a_number_does_not_keep_is_a_fault_and_exact_as_text() -> None:
    text = document(FEES, policy="collect") + "collect: sum\n"
    case = {"weight": 11, "express": True}
    for fees, exact in (
        (("9007199254740991", "1", "0"), "9007199254740992"),
        (("1000000000000000", "0.25", "0.125"), "1000000000000000.375"),
    ):
        numbers = text
        for old, new in zip(("4.90", "0.10", "0.20"), fees, strict=True):
            numbers = numbers.replace(f'"{old}"', new)
        with pytest.raises(DecisionFault, match="more digits than a number keeps") as raised:
            table(numbers).decide(case)
        assert raised.value.kind is DecisionFaultKind.SUM
        texts = text
        for old, new in zip(("4.90", "0.10", "0.20"), fees, strict=True):
            texts = texts.replace(old, new)
        assert table(texts).decide(case).outputs == {"fee": exact}


@pytest.mark.parametrize("collect", ["", "collect: list\n", "collect: max\n"])
def test_an_output_has_one_type_whichever_rule_writes_it(collect: str) -> None:
    """A process compares it; jq sorts every text above every number."""
    text = document(FEES, policy="collect" if collect else "first").replace('"0.10"', "0.00001")
    text = text.replace("{id: base, ", '{id: base, when: {weight: "<= 10"}, ') + collect
    found = [table(text).decide({"weight": w, "express": False}).outputs["fee"] for w in (1, 11)]
    expected: Any = ["4.90", "0.00001"]
    assert found == ([[each] for each in expected] if "list" in collect else expected)


def test_the_first_rule_that_fires_is_the_answer() -> None:
    decided = table(
        document(FEES, policy="first").replace("{id: base, ", '{id: base, when: {weight: "> 20"}, ')
        + "default: {fee: 0}\n"
    )
    assert decided.decide({"weight": 30, "express": True}).rules == ("base",)
    assert decided.decide({"weight": 15, "express": True}).rules == ("heavy",)


# ---------------------------------------------------------------- schemas
def test_the_shipped_schema_is_that_of_the_models() -> None:
    # To update: python -c "from coe.decisions import schemas; schemas.write_decision_schema()"
    assert json.loads(DECISION_FILE.read_text()) == decision_schema()
    meta.validate(decision_schema())


@pytest.mark.parametrize("text", [APPROVAL, document(FEES, policy="collect")])
def test_the_schema_takes_what_loads(text: str) -> None:
    assert Draft202012Validator(decision_schema()).is_valid(read(text).data)


@pytest.mark.parametrize(
    "text", [APPROVAL.replace("then:", "thne:"), APPROVAL.replace("unique", "any"), HEAD]
)
def test_the_schema_refuses_what_does_not_load(text: str) -> None:
    assert not Draft202012Validator(decision_schema()).is_valid(read(text).data)


@pytest.mark.parametrize(
    ("given", "fits"),
    [
        (case("1.50"), True),
        (case(1.5), True),
        (case("a"), False),
        (case(amount=True), False),
        (case(1, "other"), False),
        ({"amount": 1}, False),
        ({"amount": 1, "customer": {}}, False),
    ],
)
def test_the_schema_of_the_input_is_what_the_table_takes(given: Any, *, fits: bool) -> None:
    schema = input_schema(table(APPROVAL))
    assert Draft202012Validator(schema).is_valid(given) is fits
