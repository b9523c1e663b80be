"""Steps of two versions: renamed, moved, reordered, changed; errors that a flow raises."""

from __future__ import annotations

import pytest

from coe.language.diff import VersionDiff, diff
from coe.language.diff.errors import escaping_errors
from coe.language.error_types import BASE
from coe.language.source import read
from tests.factories.definitions import flow, loaded

HUMAN = """
- ask:
    call: humanTask:1@default
    with:
      title: Decide
      candidates: {roles: [finance-approver, finance-lead]}
      outcomes: [approved, rejected]
      dueIn: P1D
"""
STORY = """
- fetch: {call: http, with: {method: get, endpoint: https://erp.example.com/orders/1}}
- decide: {switch: [{yes: {when: .ok, then: ship}}, {no: {then: end}}]}
- ship:
    try:
      - pick: {call: 'localFlow:1@default', with: {ref: warehouse/pick-and-pack@^1}}
      - book: {call: http, with: {method: post, endpoint: https://erp.example.com/invoices}}
    catch: {do: [{undo: {set: {undone: true}}}]}
- close: {set: {closed: true}}
"""


def compare(old: str, new: str, *, before: str = "", after: str = "") -> VersionDiff:
    first, second = flow(old, more=before), flow(new, more=after)
    return diff(read(first), read(second.replace("1.0.0", "9.0.0")))


def steps_of(found: VersionDiff) -> list[tuple[str, str]]:
    return [(change.code, change.message) for change in found.changes]


def test_a_renamed_step_and_directives_to_it_are_no_change() -> None:
    new = STORY.replace("ship:", "deliver:").replace("then: ship", "then: deliver")
    assert steps_of(compare(STORY, new)) == [("OWS916", "step `ship` is now called `deliver`")]


def test_a_step_that_is_renamed_takes_along_what_is_inside() -> None:
    new = STORY.replace("- ship:", "- deliver:").replace("then: ship", "then: deliver")
    new = new.replace("invoices", "bills")
    assert steps_of(compare(STORY, new)) == [
        ("OWS916", "step `ship` is now called `deliver`"),
        ("OWS913", "step `deliver/try/book` has changed: `with.endpoint`"),
    ]


def test_a_renamed_step_may_change_a_little() -> None:
    new = HUMAN.replace("- ask:", "- approve:").replace("dueIn: P1D", "dueIn: P2D")
    assert steps_of(compare(HUMAN, new)) == [
        ("OWS916", "step `ask` is now called `approve`"),
        ("OWS913", "step `approve` has changed: `with.dueIn` P1D is now P2D"),
    ]
    other = "- approve: {call: 'humanTask:1@default', with: {title: X, candidates: {roles: [r]}}}"
    assert [code for code, _ in steps_of(compare(HUMAN, other))] == ["OWS911", "OWS912"]


def test_a_step_in_another_scope_has_moved() -> None:
    [line] = [line for line in STORY.splitlines() if "- book:" in line]
    moved = STORY.replace(line + "\n", "").replace("- close", f"{line.strip()}\n- close")
    assert ("OWS917", "step `ship/try/book` has moved to `book`") in steps_of(compare(STORY, moved))


def test_a_group_around_steps_moves_them() -> None:
    old = "- a: {wait: PT1S}\n- b: {wait: PT2S}"
    new = "- both:\n    do:\n      - a: {wait: PT1S}\n      - b: {wait: PT2S}"
    assert steps_of(compare(old, new)) == [
        ("OWS911", "step `both` is new"),
        ("OWS917", "step `a` has moved to `both/do/a`"),
        ("OWS917", "step `b` has moved to `both/do/b`"),
    ]


def test_two_steps_that_do_nothing_alike_are_gone_and_new() -> None:
    found = steps_of(
        compare("- a: {wait: PT1S}\n- b: {wait: PT9S}", "- a: {wait: PT1S}\n- c: {set: {x: 1}}")
    )
    assert found == [("OWS911", "step `c` is new"), ("OWS912", "step `b` is gone")]


def test_a_new_order_is_reported_in_its_scope() -> None:
    pick, book = (line for line in STORY.splitlines() if "- pick:" in line or "- book:" in line)
    turned = STORY.replace(f"{pick}\n{book}", f"{book}\n{pick}")
    [change] = compare(STORY, turned).changes
    assert (change.code, change.path) == ("OWS914", "/do/2/ship/try")
    assert change.message == "steps come in another order in `ship`"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "[approved, rejected]",
            "[approved, refused]",
            ["the outcome `refused` is new", "the outcome `rejected` is gone"],
        ),
        ("[approved, rejected]", "[rejected, approved]", ["the outcomes come in another order"]),
        (
            "finance-lead]",
            "sales-lead]",
            ["the role `sales-lead` is new", "the role `finance-lead` is gone"],
        ),
        ("dueIn: P1D", "dueIn: P2D", ["`with.dueIn` P1D is now P2D"]),
        ("dueIn: P1D", "dueIn: P1D\n      approvals: 2", ["`with.approvals` none is now 2"]),
        ("title: Decide", "title: Choose", ["`with.title`"]),
    ],
)  # fmt: skip
def test_changes_of_a_human_task_are_described(old: str, new: str, words: list[str]) -> None:
    [change] = compare(HUMAN, HUMAN.replace(old, new)).changes
    assert change.message == f"step `ask` has changed: {'; '.join(words)}"


def test_timeouts_and_conditions_are_reported_with_their_values() -> None:
    old = "- a: {if: .x, set: {a: 1}, timeout: {after: PT5S}}"
    new = "- a: {if: .y, set: {a: 1}, timeout: {after: PT9S}, then: end}"
    [change] = compare(old, new).changes
    assert change.message == (
        "step `a` has changed: `if` .x is now .y; "
        '`timeout` {"after": "PT5S"} is now {"after": "PT9S"}; `then` none is now end'
    )


def test_a_changed_schedule_is_reported() -> None:
    tasks = "- a: {wait: PT1S}"
    old, new = "schedule: {cron: '0 6 * * *'}\n", "schedule: {every: PT1H}\n"
    [change] = compare(tasks, tasks, before=old, after=new).changes
    assert change.message == "what starts it has changed: cron 0 6 * * * is now every PT1H"
    assert (change.code, change.path) == ("OWS915", "/schedule")


@pytest.mark.parametrize(("part", "code"), [("input", "OWS901"), ("output", "OWS902")])
def test_a_schema_at_an_address_cannot_be_compared(part: str, code: str) -> None:
    tasks = "- a: {wait: PT1S}"
    old = f"{part}: {{schema: {{document: {{type: object}}}}}}\n"
    new = f"{part}: {{schema: {{resource: {{endpoint: https://x.example/s.json}}}}}}\n"
    found = compare(tasks, tasks, before=old, after=new)
    assert code in [change.code for change in found.changes]
    assert found.breaking


# ---------------------------------------------------------------- errors
RAISE = "{raise: {error: {type: https://x.example/no, status: 422}}}"
CALL = "{call: http, with: {method: get, endpoint: https://x.example}}"


@pytest.mark.parametrize(
    ("tasks", "types"),
    [
        (f"- a: {RAISE}", ["https://x.example/no"]),
        (f"- a: {CALL}", [f"{BASE}communication"]),
        ("- a: {wait: PT1S, timeout: {after: PT1S}}", [f"{BASE}timeout"]),
        (HUMAN, [f"{BASE}timeout"]),
        ("- a: {set: {x: 1}}", []),
        (f"- a: {{try: [{{b: {CALL}}}], catch: {{do: [{{c: {RAISE}}}]}}}}", ["https://x.example/no"]),
        (f"- a: {{try: [{{b: {CALL}}}], catch: {{}}}}", []),
        (f"- a: {{try: [{{b: {CALL}}}], catch: {{when: .x, do: []}}}}", [f"{BASE}communication"]),
        (
            f"- a: {{try: [{{b: {CALL}}}], catch: {{errors: {{with: {{status: 503}}}}, do: []}}}}",
            [f"{BASE}communication"],
        ),
        (
            f"- a: {{try: [{{b: {RAISE}}}], catch: {{errors: {{with: {{status: 422}}}}, do: []}}}}",
            [],
        ),
        (
            "- a: {try: [{b: {wait: PT1S}}], catch: {}, timeout: {after: PT1S}}",
            [f"{BASE}timeout"],
        ),
        (
            ("- a: {try: [{b: {wait: P1D, timeout: {after: PT1S}}}], catch: {errors: {with: {type: "
            "'https://serverlessworkflow.io/spec/1.0.0/errors/timeout'}}}}"),
            [],
        ),
    ],
)  # fmt: skip
def test_errors_that_leave_a_flow(tasks: str, types: list[str]) -> None:
    assert list(escaping_errors(loaded(tasks))) == types


def test_a_second_source_of_a_known_error_breaks_no_caller() -> None:
    old = f"- a: {CALL}"
    assert not compare(old, f"{old}\n- b: {CALL}").breaking
    found = compare("- a: {wait: PT1S}", f"- a: {{wait: PT1S}}\n- b: {CALL}")
    assert (found.breaking, found.asks) == (True, "major")


def test_many_steps_are_compared_quickly() -> None:
    old = "\n".join(f"- s{n}: {{set: {{x: {n}}}}}" for n in range(1500))
    new = "\n".join(f"- t{n}: {{set: {{x: {n}}}}}" for n in reversed(range(1500)))
    found = compare(old, new)
    assert {change.code for change in found.changes} == {"OWS916", "OWS914"}
    assert sum(change.code == "OWS916" for change in found.changes) == 1500
