"""Each standard with a flow that keeps it and one that breaks it."""

from __future__ import annotations

from pathlib import Path

import pytest

from coe.errors import Severity
from coe.language.lint import NO_STANDARDS, Standards, lint, load_standards, published
from coe.language.lint.standards_rules import ELSEWHERE, STANDARD_RULES
from coe.language.load import load
from coe.language.source import read

GOOD = """\
document:
  dsl: '1.0.3'
  namespace: sales
  name: order-to-cash
  version: '1.0.0'
  title: Order to cash
  summary: Takes an order until it is paid.
  metadata:
    processOwner: sales-owner
    dataClass: PERSONAL
    domain: sales
    systems: [sales/crm]
use:
  secrets: [crmToken]
input:
  schema:
    document:
      type: object
      required: [orderId]
      properties: {orderId: {type: string}, email: {type: string}}
      examples: [{orderId: A-1}]
output:
  schema: {document: {type: object}}
do:
  - guarded:
      try:
        - getCustomer:
            call: http
            timeout: {after: PT10S}
            with:
              method: get
              endpoint:
                uri: https://crm.example.com/customers/{id}
                authentication: {bearer: {use: crmToken}}
              headers: {X-Api-Key: '${ .key }'}
        - pick:
            call: localFlow:1@default
            with: {ref: warehouse/pick-and-pack@^1}
      catch:
        retry: {delay: PT1S, limit: {attempt: {count: 3}}}
  - approve:
      call: humanTask:1@default
      with:
        title: Approve the order
        candidates: {roles: [finance/finance-approver]}
        exclude: [requester]
        outcomes: [approve, reject]
        dueIn: P1D
  - release:
      call: humanTask:1@default
      with:
        title: Release the order
        candidates: {roles: [lead]}
        exclude: [requester, approvers]
        outcomes: [released, stopped]
        dueIn: P1D
"""

# Each: the standard, what to replace in the good flow, by what, and where it is found.
BROKEN = [
    ("COE001", "  title: Order to cash\n", "", "/document"),
    ("COE001", "Order to cash", "' '", "/document"),
    ("COE002", "  summary: Takes an order until it is paid.\n", "", "/document"),
    ("COE003", "    processOwner: sales-owner\n", "", "/document"),
    ("COE004", "    dataClass: PERSONAL\n", "", "/document"),
    ("COE004", "PERSONAL", "SECRET", "/document/metadata/dataClass"),
    ("COE005", "    domain: sales\n", "", "/document"),
    ("COE006", "    systems: [sales/crm]\n", "", "/document"),
    ("COE011", "      examples: [{orderId: A-1}]\n", "", "/input/schema/document"),
    ("COE012", "output:\n  schema: {document: {type: object}}\n", "", "/document"),
    (
        "COE013",
        "PERSONAL",
        "INTERNAL",
        "/input/schema/document/properties/email",
    ),
    (
        "COE020",
        "            timeout: {after: PT10S}\n",
        "",
        "/do/0/guarded/try/0/getCustomer",
    ),
    ("COE022", ", limit: {attempt: {count: 3}}", "", "/do/0/guarded/catch/retry"),
    ("COE022", "{attempt: {count: 3}}", "{attempt: {}}", "/do/0/guarded/catch/retry"),
    (
        "COE023",
        "https://crm",
        "http://crm",
        "/do/0/guarded/try/0/getCustomer/with/endpoint",
    ),
    (
        "COE024",
        "{bearer: {use: crmToken}}",
        "{bearer: {token: s3cret}}",
        "/do/0/guarded/try/0/getCustomer/with/endpoint/authentication/bearer/token",
    ),
    (
        "COE024",
        "'${ .key }'",
        "s3cret",
        "/do/0/guarded/try/0/getCustomer/with/headers/X-Api-Key",
    ),
    ("COE025", "pick-and-pack@^1", "pick-and-pack", "/do/0/guarded/try/1/pick/with/ref"),
    ("COE030", "        dueIn: P1D\n", "", "/do/1/approve"),
    ("COE031", "        exclude: [requester]\n", "", "/do/1/approve"),
    (
        "COE032",
        "finance/finance-approver",
        "'*/lead'",
        "/do/1/approve/with/candidates/roles/0",
    ),
    (
        "COE032",
        "dueIn: P1D",
        "dueIn: P1D\n        escalate: [{after: PT1H, to: '*/lead'}]",
        "/do/1/approve/with/escalate/0/to",
    ),
    ("COE033", "exclude: [requester, approvers]", "exclude: [requester]", "/do/2/release"),
    ("COE040", "- approve:", "- Approve it:", "/do/1/Approve it"),
]


def problems(text: str) -> list[tuple[str, str | None]]:
    definition = load(text).definition
    assert definition is not None, load(text).problems
    return [(problem.code, problem.path) for problem in lint(definition)]


def test_a_flow_that_keeps_every_standard_has_no_problem() -> None:
    assert problems(GOOD) == []


@pytest.mark.parametrize(("code", "good", "bad", "path"), BROKEN)
def test_a_standard_finds_what_breaks_it(code: str, good: str, bad: str, path: str) -> None:
    assert good in GOOD
    assert (code, path) in problems(GOOD.replace(good, bad, 1))


def test_people_of_one_role_may_decide_twice_and_count_as_one_with_approvals() -> None:
    """COE033 is about a decision after one of other people, whom `approvals` exclude by default."""
    release = GOOD.index("  - release:")
    other = GOOD[:release] + GOOD[release:].replace("exclude: [requester, approvers]", "")
    assert ("COE033", "/do/2/release") in problems(other)
    same = other.replace("roles: [lead]", "roles: [finance/finance-approver]")
    assert "COE033" not in {code for code, _ in problems(same)}
    twice = GOOD[:release] + GOOD[release:].replace(
        "exclude: [requester, approvers]", "approvals: 2"
    )
    assert "COE033" not in {code for code, _ in problems(twice)}
    computed = other.replace("roles: [lead]}", "roles: [lead]}\n        exclude: ['${ .who }']")
    assert "COE033" not in {code for code, _ in problems(computed)}


def test_a_flow_has_an_input_schema() -> None:
    start, end = GOOD.index("input:\n"), GOOD.index("output:\n")
    assert problems(GOOD[:start] + GOOD[end:]) == [("COE010", "/document")]


def test_a_call_outside_of_a_try_is_found() -> None:
    text = GOOD.replace("  - guarded:\n      try:", "  - guarded:\n      do:").replace(
        "      catch:\n        retry: {delay: PT1S, limit: {attempt: {count: 3}}}\n", ""
    )
    assert problems(text) == [
        ("COE021", "/do/0/guarded/do/0/getCustomer"),
        ("COE021", "/do/0/guarded/do/1/pick"),
    ]


def test_a_call_in_a_catch_is_not_guarded_by_its_own_try() -> None:
    task = "do: [{again: {call: 'localFlow:1@default', with: {ref: a/b@1}}}]"
    text = GOOD.replace("        retry:", f"        {task}\n        retry:")
    assert problems(text) == [("COE021", "/do/0/guarded/catch/do/0/again")]


def test_a_timeout_around_a_call_is_enough() -> None:
    text = GOOD.replace("            timeout: {after: PT10S}\n", "")
    text = text.replace("  - guarded:\n", "  - guarded:\n      timeout: {after: PT1M}\n")
    assert problems(text) == []


def test_personal_data_may_be_marked() -> None:
    internal = GOOD.replace("PERSONAL", "INTERNAL")
    cleared = internal.replace("email: {type: string}", "email: {x-personal: false}")
    assert problems(cleared) == []
    marked = internal.replace("email: {type: string}", "nick: {x-personal: true}")
    assert problems(marked) == [("COE013", "/input/schema/document/properties/nick")]


def test_a_scope_of_many_tasks_is_found() -> None:
    more = "".join(f"  - step{number}: {{wait: PT1S}}\n" for number in range(24))
    assert problems(GOOD + more) == [("COE041", "/do")]


def test_every_rule_has_its_standard_and_every_standard_its_rule() -> None:
    assert set(published().standards) == set(STANDARD_RULES) | ELSEWHERE


def test_a_standard_without_a_rule_is_reported() -> None:
    standards = Standards.model_validate({"standards": {"COE999": {"title": "t", "why": "w"}}})
    definition = load(GOOD).definition
    assert definition
    assert [problem.code for problem in lint(definition, standards=standards)] == ["COE999"]


def test_every_standard_has_an_example_that_breaks_it() -> None:
    broken = {each[0] for each in BROKEN} | {"COE010", "COE021", "COE041"}
    assert broken == set(STANDARD_RULES)


def test_a_standard_has_the_severity_of_its_file(tmp_path: Path) -> None:
    file = tmp_path / "standards.yaml"
    file.write_text("standards: {COE001: {title: t, why: w, severity: INFO}}\n")
    definition = load(GOOD.replace("  title: Order to cash\n", "")).definition
    assert definition
    [problem] = lint(definition, standards=load_standards(file))
    assert problem.severity is Severity.INFO
    assert lint(definition, standards=NO_STANDARDS) == ()


def test_the_published_file_has_no_unknown_keys() -> None:
    root = Path(__file__).parents[2]
    data = read((root / "policies" / "standards.yaml").read_text()).data
    assert Standards.model_validate(data) == published()
