"""Explanations name the lines and what would allow; reviews agree with the decisions."""

from __future__ import annotations

import pytest

from coe.access.actor import Actor, DataClass
from coe.access.explain import explain, review_grants
from coe.access.permissions import Permission
from coe.access.policy import Policy
from coe.access.policy_lines import DERIVED_ROLES
from tests.factories.policies import policy_of, shipped


@pytest.fixture(scope="module")
def policy() -> Policy:
    return shipped()


def test_an_allowance_names_its_line_place_and_reason(policy: Policy) -> None:
    decision = explain(policy, Actor.of("sales-owner"), "run:read_data", team="sales")
    assert decision.allowed
    assert decision.rules == ("p, process-owner, *, run:read_data, *, allow",)
    assert "policies/rules/runs.csv:" in decision.explanation
    assert "contain data of customers" in decision.explanation
    assert "sales-owner holds sales/process-owner." in decision.explanation


def test_a_refusal_by_a_line_names_it_first_and_then_what_else_matched(policy: Policy) -> None:
    decision = explain(
        policy,
        Actor.of("finance-lead"),
        "human_task:complete",
        team="sales",
        data_class=DataClass.PERSONAL,
        relations=["candidate", "requester"],
    )
    assert not decision.allowed
    assert decision.rules == (
        "p, relation:requester, *, human_task:complete, *, deny",
        "p, relation:candidate, *, human_task:complete, *, allow",
    )
    assert "nobody decides on a run that they started" in decision.explanation
    assert "is the resource's candidate, requester" in decision.explanation


def test_a_refusal_without_a_line_names_what_would_allow(policy: Policy) -> None:
    decision = explain(policy, Actor.of("outsider"), "run:start", team="sales")
    assert not decision.allowed
    assert decision.rules == ()
    for needed in (
        "process-owner in sales",
        "operator in sales",
        "executor in coe",
        "being a run",
    ):
        assert needed in decision.explanation
    assert "outsider is in no team." in decision.explanation
    only = explain(policy, Actor.of("sales-owner"), "policy:change", team="coe")
    assert "it takes lead in coe." in only.explanation


def test_an_invalid_question_has_no_lines(policy: Policy) -> None:
    assert explain(policy, Actor.of("sales-owner"), "run:fly", team="sales").rules == ()
    assert explain(policy, Actor.of("sales-owner"), "run:start", team="Sales!").rules == ()
    with pytest.raises(ValueError, match="not a subject"):
        Actor.of("sales owner")


def test_a_review_agrees_with_the_decisions(policy: Policy) -> None:
    for team in ("sales", "finance", "coe", "audit"):
        grants = review_grants(policy, team)
        named = {
            (grant.subject, grant.permission, data_class)
            for grant in grants
            if grant.subject in policy.memberships
            for data_class in DataClass
            if grant.resource in {f"team:{team}/*", f"team:{team}/{data_class}"}
        }
        for grant in grants:
            assert f", {grant.permission}, " in grant.via
        for subject in policy.memberships:
            for permission in Permission:
                for data_class in DataClass:
                    decision = policy.decide(
                        Actor.of(subject), permission, team=team, data_class=data_class
                    )
                    groups = {"everyone", "employee", "kind:service", "kind:person"}
                    by_group = any(f"p, {group}, " in (decision.rule or "") for group in groups)
                    found = (subject, permission.value, data_class) in named
                    assert found or not decision.allowed or by_group
                    assert decision.allowed or not found


def test_a_review_names_groups_members_and_services(policy: Policy) -> None:
    grants = {(grant.subject, grant.permission): grant for grant in review_grants(policy, "sales")}
    assert (
        grants["sales-owner", "flow:publish"].via == "p, process-owner, *, flow:publish, *, allow"
    )
    assert grants["sales-developer", "run:read"].via == "p, member, *, run:read, *, allow"
    assert ("service:worker/sales", "run:report") in grants
    assert ("coe-lead", "flow:review") in grants
    assert ("relation:candidate", "human_task:complete") in grants
    assert grants["everyone", "entry:read"].resource == "team:sales/PUBLIC"
    assert ("finance-lead", "token:issue") not in grants
    assert ("service:worker/finance", "run:report") not in grants
    assert not {subject for subject, _ in grants} & (DERIVED_ROLES - {"everyone", "employee"})


def test_a_review_leaves_out_what_a_deny_line_overrides() -> None:
    policy = policy_of(
        ["lead * token:issue * allow", "kind:service * token:issue * deny"],
        {"service:w/sales": {"sales": ["lead"]}, "lena": {"sales": ["lead"]}},
    )
    assert [grant.subject for grant in review_grants(policy, "sales")] == ["lena"]
