"""The shipped policy: every row of the decision table, and a row for every permission and line."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
from ruamel.yaml import YAML

from coe.access.actor import Actor, DataClass
from coe.access.files import read_files
from coe.access.permissions import Permission
from coe.access.policy import Policy
from coe.access.policy_lines import ANY, PolicyLine
from coe.demo.personas import PERSONAS
from tests.factories.policies import ROOT, policy_of, shipped


@dataclass(frozen=True)
class Example:
    permission: str
    allowed: bool
    who: str
    team: str
    data_class: DataClass = DataClass.INTERNAL
    relations: tuple[str, ...] = ()
    by: str | None = None
    machine_of: str | None = None

    def __str__(self) -> str:
        word = "may" if self.allowed else "may not"
        as_ = f" as {'+'.join(self.relations)}" if self.relations else ""
        return f"{self.who}{as_} {word} {self.permission} {self.team}/{self.data_class}"


def read_examples() -> list[Example]:
    table: dict[str, dict[str, list[dict[str, Any]]]] = YAML(typ="safe").load(
        (ROOT / "policies" / "examples.yaml").read_text()
    )
    keys = {"who", "team", "class", "as", "by", "machine_of"}
    rows = []
    for permission, kinds in table.items():
        assert set(kinds) <= {"allowed", "denied"}, permission
        for kind, examples in kinds.items():
            for row in examples:
                assert set(row) <= keys, row
                rows.append(
                    Example(
                        permission,
                        kind == "allowed",
                        row["who"],
                        row["team"],
                        DataClass(row.get("class", "INTERNAL")),
                        tuple(row.get("as", ())),
                        row.get("by"),
                        row.get("machine_of"),
                    )
                )
    return rows


EXAMPLES = read_examples()


@pytest.fixture(scope="module")
def policy() -> Policy:
    return shipped()


def _actor(example: Example) -> Actor:
    credential = None if example.machine_of is None else "client:x"
    return replace(Actor.of(example.who), credential=credential, bound_to=example.machine_of)


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_example(policy: Policy, example: Example) -> None:
    decision = policy.decide(
        _actor(example),
        example.permission,
        team=example.team,
        data_class=example.data_class,
        relations=example.relations,
    )
    assert decision.allowed is example.allowed, decision.explanation
    if example.allowed:
        assert decision.rule is not None
        assert decision.rule.endswith(", allow")
    else:
        assert decision.rule == example.by, decision.explanation


@pytest.mark.parametrize("permission", list(Permission))
def test_every_permission_has_an_allowed_and_a_denied_row(permission: Permission) -> None:
    kinds = {example.allowed for example in EXAMPLES if example.permission == permission}
    assert kinds == {True, False}, f"{permission} needs a row of both kinds in examples.yaml"


def test_every_example_is_of_a_permission_and_stands_once() -> None:
    assert {example.permission for example in EXAMPLES} <= {each.value for each in Permission}
    assert len(set(EXAMPLES)) == len(EXAMPLES)


def test_every_line_has_an_example_that_it_matches(policy: Policy) -> None:
    matched: set[str] = set()
    for example in EXAMPLES:
        lines = policy.matching(
            _actor(example),
            example.permission,
            team=example.team,
            data_class=example.data_class,
            relations=example.relations,
        )
        matched |= {str(line) for line in lines if (line.effect == "allow") is example.allowed}
    unmatched = [str(line) for line in read_files(ROOT).lines if str(line) not in matched]
    assert not unmatched, f"lines without an example: {unmatched}"


def test_every_role_is_held_and_used() -> None:
    files = read_files(ROOT)
    held = {role for team in files.teams for person in team.people for role in person.roles}
    used = {line.role[0] for line in files.lines if line.role}
    named_by_tasks_alone = {"finance-approver"}
    assert held == set(files.roles)
    assert used | named_by_tasks_alone == set(files.roles)


def test_a_line_of_a_named_team_names_a_team() -> None:
    files = read_files(ROOT)
    teams = {team.team for team in files.teams}

    def named(line: PolicyLine) -> set[str]:
        return {line.team, *(line.role[1:] if line.role else ())} - {ANY}

    assert set().union(*(named(line) for line in files.lines)) <= teams


def test_the_personas_are_the_people_of_the_teams() -> None:
    people = {
        person.subject: person.name
        for team in read_files(ROOT).teams
        for person in team.people
        if person.subject in PERSONAS
    }
    outsider = {"outsider": PERSONAS["outsider"]}
    assert people | outsider == PERSONAS
    assert "outsider" not in people


def test_separation_of_duty_holds_for_all_roles(policy: Policy) -> None:
    """Even the holder of every role in every team may not decide on an own version or run."""
    files = read_files(ROOT)
    everything = shipped_with_superuser(files.roles, [team.team for team in files.teams])
    for permission, relation in [
        (Permission.FLOW_REVIEW, "author"),
        (Permission.TEMPLATE_REVIEW, "author"),
        (Permission.HUMAN_TASK_CLAIM, "requester"),
        (Permission.HUMAN_TASK_COMPLETE, "requester"),
        (Permission.HUMAN_TASK_COMPLETE, "excluded"),
        (Permission.HUMAN_TASK_COMPLETE, "approver"),
    ]:
        for data_class in DataClass:
            decision = everything.decide(
                Actor.of("superuser"),
                permission,
                team="coe",
                data_class=data_class,
                relations={relation, "candidate", "claimant", "owner"},
            )
            assert not decision.allowed
            assert decision.rule == f"p, relation:{relation}, *, {permission}, *, deny"


def shipped_with_superuser(roles: dict[str, str], teams: list[str]) -> Policy:
    lines = [line.fields for line in read_files(ROOT).lines]
    return policy_of(lines, {"superuser": {team: list(roles) for team in teams}})
