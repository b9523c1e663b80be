"""A scope agrees with the decisions for every team and class, in Python and in the database."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Column, MetaData, String, Table, insert, select

from coe.access.actor import Actor, DataClass
from coe.access.enforcer import Enforcers
from coe.access.permissions import Permission
from coe.access.policy import Policy
from coe.access.scope import AccessScope
from coe.db import Database
from tests.access.test_policy import PERMS, SUBJECTS, TEAMS, lines_strategy, members_strategy
from tests.factories.policies import policy_of, shipped

EVERY_TEAM = [*TEAMS, "elsewhere", "elsewhere-x", "nowhere"]
THINGS = Table(
    "things", MetaData(), Column("team", String), Column("data_class", String), prefixes=["TEMP"]
)


def decided(policy: Policy, who: str, permission: str, relations: set[str]) -> set[tuple[str, str]]:
    return {
        (team, data_class.value)
        for team in EVERY_TEAM
        for data_class in DataClass
        if policy.decide(
            Actor.of(who), permission, team=team, data_class=data_class, relations=relations
        ).allowed
    }


@settings(max_examples=150, deadline=None)
@given(
    lines=lines_strategy,
    members=members_strategy,
    who=st.sampled_from(SUBJECTS),
    permission=st.sampled_from(PERMS),
    relations=st.sets(st.sampled_from(["author", "requester"])),
)
def test_a_scope_agrees_with_the_decisions(
    lines: list[tuple[str, ...]],
    members: dict[str, dict[str, list[str]]],
    who: str,
    permission: str,
    relations: set[str],
) -> None:
    policy = policy_of(lines, members)
    scope = policy.scope(Actor.of(who), permission, relations=relations)
    allowed = {
        (team, data_class.value)
        for team in EVERY_TEAM
        for data_class in DataClass
        if scope.allows(team, data_class)
    }
    assert allowed == decided(policy, who, permission, relations)
    assert scope.empty is not bool(allowed)


classes = st.frozensets(st.sampled_from(DataClass))


async def test_the_predicate_picks_the_rows_that_the_scope_allows(database: Database) -> None:
    scopes: list[AccessScope] = []

    @settings(max_examples=200, deadline=None, database=None)
    @given(elsewhere=classes, teams=st.dictionaries(st.sampled_from(EVERY_TEAM), classes))
    def collect(elsewhere: frozenset[DataClass], teams: dict[str, frozenset[DataClass]]) -> None:
        scopes.append(AccessScope(elsewhere, teams))

    collect()
    rows = [{"team": team, "data_class": each.value} for team in EVERY_TEAM for each in DataClass]
    async with database.session() as session:
        connection = await session.connection()
        await connection.run_sync(THINGS.create)
        await session.execute(insert(THINGS), rows)
        for scope in scopes:
            found = await session.execute(
                select(THINGS).where(scope.clause(THINGS.c.team, THINGS.c.data_class))
            )
            assert {(row.team, row.data_class) for row in found} == {
                (row["team"], row["data_class"])
                for row in rows
                if scope.allows(row["team"], DataClass(row["data_class"]))
            }
            internal = await session.execute(
                select(THINGS.c.team).distinct().where(scope.clause(THINGS.c.team))
            )
            assert set(internal.scalars()) == {each for each in EVERY_TEAM if scope.allows(each)}


@pytest.mark.parametrize(
    ("who", "readable"),
    [
        ("outsider", {"PUBLIC"}),
        ("warehouse-developer", {"PUBLIC", "INTERNAL"}),
        ("sales-developer", set(DataClass)),
        ("coe-lead", set(DataClass)),
        ("auditor", set(DataClass)),
        ("service:worker/finance", {"PUBLIC"}),
    ],
)
def test_who_reads_which_entries_of_sales(who: str, readable: set[str]) -> None:
    scope = shipped().scope(Actor.of(who), Permission.ENTRY_READ)
    assert {each for each in DataClass if scope.allows("sales", each)} == readable


def test_a_scope_costs_the_actors_teams_and_not_all_teams(monkeypatch: pytest.MonkeyPatch) -> None:
    members = {f"p{number}": {f"team-{number}": ["lead"]} for number in range(300)}
    policy = policy_of(
        ["member * entry:read * allow", "employee * entry:read PUBLIC allow"], members
    )
    evaluated = 0
    evaluate = Enforcers.evaluate

    def count(self: Enforcers, request: object) -> object:
        nonlocal evaluated
        evaluated += 1
        return evaluate(self, request)  # type: ignore[arg-type]  # a double of it

    monkeypatch.setattr(Enforcers, "evaluate", count)
    scope = policy.scope(Actor.of("p7"), Permission.ENTRY_READ)
    assert evaluated == 2 * len(DataClass)
    assert scope.allows("team-7", DataClass.PERSONAL)
    assert not scope.allows("team-8", DataClass.INTERNAL)
    assert scope.allows("team-8", DataClass.PUBLIC)


def test_a_line_of_a_named_team_makes_that_team_differ() -> None:
    policy = policy_of(
        [
            "everyone * run:read PUBLIC allow",
            "everyone sales run:read * allow",
            "everyone finance run:read PUBLIC deny",
        ]
    )
    scope = policy.scope(Actor.of("anna"), Permission.RUN_READ)
    assert scope.elsewhere == {DataClass.PUBLIC}
    assert scope.teams == {"sales": frozenset(DataClass), "finance": frozenset()}
