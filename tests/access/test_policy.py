"""Decisions: what is refused, which line is reported, and the pitfalls of the engine."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coe.access import policy as policy_module
from coe.access.actor import Actor, ActorKind, DataClass
from coe.access.enforcer import Enforcers
from coe.access.permissions import PERMISSIONS, Permission
from coe.access.policy import Policy
from coe.access.policy_lines import PolicyLine, Relation
from tests.factories.policies import MODEL, policy_of, shipped

RUN = "run:0190f3a1-0000-7000-8000-000000000000"
START = Permission.RUN_START


def person(subject: str, scopes: frozenset[str] | None = None) -> Actor:
    return Actor(subject, ActorKind.PERSON, subject, scopes)


def test_a_role_counts_in_its_team_only() -> None:
    policy = policy_of(["owner * run:start * allow"], {"anna": {"sales": ["owner"]}})
    allowed = policy.decide(person("anna"), START, team="sales")
    assert allowed.allowed
    assert allowed.rules == ("p, owner, *, run:start, *, allow",)
    refused = policy.decide(person("anna"), START, team="finance")
    assert not refused.allowed
    assert refused.rules == ()
    assert "it takes owner in" in refused.explanation


def test_a_role_of_a_named_team_counts_everywhere() -> None:
    policy = policy_of(
        ["coe/lead * run:start * allow"],
        {"cora": {"coe": ["lead"]}, "finn": {"finance": ["lead"]}},
    )
    assert policy.decide(person("cora"), START, team="sales").allowed
    assert policy.decide(person("cora"), START, team="nowhere").allowed
    assert not policy.decide(person("finn"), START, team="finance").allowed
    assert not policy.decide(person("finn"), START, team="coe").allowed


def test_a_line_of_a_team_and_a_class_is_kept_to_them() -> None:
    policy = policy_of(["everyone sales run:start PUBLIC allow"])
    yes = policy.decide(person("x"), START, team="sales", data_class=DataClass.PUBLIC)
    assert yes.allowed
    assert not policy.decide(person("x"), START, team="sales").allowed
    other = policy.decide(person("x"), START, team="finance", data_class=DataClass.PUBLIC)
    assert not other.allowed


def test_deny_wins_whatever_the_order_and_its_line_is_reported() -> None:
    allow = "owner * run:start * allow"
    deny = "relation:requester * run:start * deny"
    for lines in ([allow, deny], [deny, allow]):
        policy = policy_of(lines, {"anna": {"sales": ["owner"]}})
        decision = policy.decide(person("anna"), START, team="sales", relations={"requester"})
        assert not decision.allowed
        assert decision.rule == "p, relation:requester, *, run:start, *, deny"
        assert policy.decide(person("anna"), START, team="sales").allowed


def test_the_allowing_line_is_reported_among_others_that_do_not_match() -> None:
    policy = policy_of(
        [
            "dev * run:start * allow",
            "owner * run:start * allow",
            "everyone * run:start PUBLIC allow",
            "relation:author * run:start * deny",
        ],
        {"anna": {"sales": ["owner"]}},
    )
    decision = policy.decide(person("anna"), START, team="sales")
    assert decision.rule == "p, owner, *, run:start, *, allow"


@pytest.mark.parametrize(
    ("lines", "model"),
    [([], MODEL), ([], ""), (["everyone * run:start * allow"], ""), ([], "nonsense")],
)
def test_an_empty_policy_or_model_refuses(lines: list[str], model: str) -> None:
    policy = policy_of(lines, {"anna": {"sales": ["owner"]}}, model=model)
    assert not policy.decide(person("anna"), START, team="sales").allowed


def test_no_policy_at_all_refuses_everything() -> None:
    policy = Policy()
    for permission in Permission:
        assert not policy.decide(person("anna"), permission, team="sales").allowed
        assert policy.scope(person("anna"), permission).empty


@pytest.mark.parametrize("team", ["", "*", "?", "sa les", "sales,finance", "Sales", "sales\n"])
def test_an_empty_or_strange_team_is_refused(team: str) -> None:
    policy = policy_of(["everyone * run:start * allow"])
    assert policy.decide(person("anna"), START, team="sales").allowed
    assert not policy.decide(person("anna"), START, team=team).allowed


@pytest.mark.parametrize("permission", ["", "*", "run:*", "run:start ", "run:fly", "RUN:START"])
def test_an_unknown_permission_is_refused(permission: str) -> None:
    policy = policy_of(["everyone * run:start * allow"])
    decision = policy.decide(person("anna"), permission, team="sales")
    assert not decision.allowed
    assert "no permission" in decision.explanation


def test_an_unknown_relation_is_refused_because_it_may_be_a_typo_of_one_that_denies() -> None:
    policy = policy_of(["everyone * run:start * allow"])
    decision = policy.decide(person("anna"), START, team="sales", relations={"requestor"})
    assert not decision.allowed
    assert "requestor" in decision.explanation


@pytest.mark.parametrize(
    ("subject", "kind"),
    [
        ("", ActorKind.PERSON),
        ("anna, lead", ActorKind.PERSON),
        ("service:central", ActorKind.PERSON),
        ("anna", ActorKind.SERVICE),
        ("run:1", ActorKind.RUN),
        (RUN, ActorKind.PERSON),
        ("anna\n", ActorKind.PERSON),
    ],
)
def test_a_subject_outside_its_alphabet_or_kind_is_refused(subject: str, kind: ActorKind) -> None:
    policy = policy_of(["everyone * run:start * allow"])
    assert not policy.decide(Actor(subject, kind, "x"), START, team="sales").allowed


def test_a_person_named_like_a_role_does_not_have_it() -> None:
    policy = policy_of(
        ["auditor * run:start * allow", "audit/auditor * run:read * allow"],
        {"auditor": {"sales": ["clerk"]}},
    )
    assert not policy.decide(person("auditor"), START, team="sales").allowed
    assert not policy.decide(person("auditor"), Permission.RUN_READ, team="sales").allowed
    assert not policy.decide(person("everyone"), START, team="sales").allowed


def test_names_with_commas_never_become_roles_or_lines() -> None:
    policy = policy_of(
        ["lead * run:start * allow"],
        {"eve": {"sales": ["clerk, lead", "clerk,lead,sales"]}, "eve, lead": {"sales": ["clerk"]}},
    )
    assert not policy.decide(person("eve"), START, team="sales").allowed
    with_comma = ("clerk, *, run:start, *, allow\np, everyone", "*", "run:start", "*", "allow")
    broken = policy_of([with_comma], {"eve": {"sales": ["clerk"]}})
    assert not broken.decide(person("eve"), START, team="sales").allowed


@pytest.mark.parametrize(
    "fields",
    [
        ("everyone", "*", "run:start", "*", "deney"),
        ("everyone", "*", "run:start", "", "deny"),
        ("every one", "*", "run:start", "*", "deny"),
        ("everyone", "*", "run:start", "*"),
    ],
)
def test_an_invalid_line_refuses_its_permission(
    fields: tuple[str, ...],
) -> None:
    policy = policy_of([("everyone", "*", "run:start", "*", "allow"), fields])
    decision = policy.decide(person("anna"), START, team="sales")
    assert not decision.allowed
    assert "test:2" in decision.explanation


def test_a_line_of_a_permission_of_another_release_changes_nothing_here() -> None:
    policy = policy_of(["everyone * run:start * allow", "everyone * moon:fly * deny"])
    assert policy.decide(person("anna"), START, team="sales").allowed


def test_an_engine_that_fails_refuses_and_is_not_cached(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    policy = policy_of(["everyone * run:start * allow"])

    def fail(*_: object) -> None:
        raise RuntimeError("broken")

    with monkeypatch.context() as patch:
        patch.setattr(Enforcers, "evaluate", fail)
        assert not policy.decide(person("anna"), START, team="sales").allowed
    assert policy.decide(person("anna"), START, team="sales").allowed


def test_kinds_and_derived_roles() -> None:
    policy = policy_of(
        [
            "everyone * run:read * allow",
            "employee * run:start * allow",
            "member * run:retry * allow",
            "kind:run * run:report * allow",
        ],
        {"anna": {"sales": []}, "bert": {"sales": ["clerk"]}, "service:w/sales": {"sales": ["w"]}},
    )
    worker, run, bert = Actor.of("service:w/sales"), Actor.of(RUN), person("bert")
    for actor in (worker, run, bert, person("stranger")):
        assert policy.decide(actor, Permission.RUN_READ, team="sales").allowed
    assert policy.decide(bert, START, team="finance").allowed
    assert policy.decide(bert, Permission.RUN_RETRY, team="sales").allowed
    assert not policy.decide(bert, Permission.RUN_RETRY, team="finance").allowed
    for actor in (worker, run, person("stranger")):
        assert not policy.decide(actor, START, team="sales").allowed
        assert not policy.decide(actor, Permission.RUN_RETRY, team="sales").allowed
    assert policy.decide(run, Permission.RUN_REPORT, team="sales").allowed
    assert not policy.decide(bert, Permission.RUN_REPORT, team="sales").allowed


def test_a_member_without_a_role_is_a_member_all_the_same() -> None:
    policy = policy_of(
        ["member * run:read * allow", "employee * run:start * allow"], {"anna": {"sales": []}}
    )
    assert policy.decide(person("anna"), Permission.RUN_READ, team="sales").allowed
    assert policy.decide(person("anna"), START, team="finance").allowed
    assert policy.teams("anna") == {"sales"}
    assert policy.scope(person("anna"), Permission.RUN_READ).allows("sales")


def test_token_scopes_narrow_and_never_widen() -> None:
    policy = policy_of(
        ["owner * run:start * allow", "owner * run:read * allow", "owner * entry:read * allow"],
        {"anna": {"sales": ["owner"]}},
    )
    runs = person("anna", frozenset({"run:*", "entry:read"}))
    one = person("anna", frozenset({"run:read", "audit:read"}))
    nothing = person("anna", frozenset())
    assert policy.decide(runs, START, team="sales").allowed
    alone = policy.decide(person("anna", frozenset({"run:*"})), START, team="sales")
    assert alone.explanation.endswith("no scope for entry:read, which run:start needs.")
    assert not policy.decide(one, Permission.ENTRY_READ, team="sales").allowed
    assert policy.decide(one, Permission.RUN_READ, team="sales").allowed
    assert not policy.decide(one, START, team="sales").allowed
    assert not policy.decide(one, Permission.AUDIT_READ, team="sales").allowed
    assert not policy.decide(nothing, START, team="sales").allowed
    assert policy.scope(one, START).empty
    assert "scope" in policy.decide(one, START, team="sales").explanation
    assert policy.permissions(runs) == {START, Permission.RUN_READ, Permission.ENTRY_READ}


def test_the_cache_of_decisions_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy_module, "MAX_CACHED_DECISIONS", 10)
    policy = shipped()
    for permission in Permission:
        policy.decide(person("sales-owner"), permission, team="sales")
        assert len(policy._decisions) <= 10


def test_unknown_subjects_and_teams_share_one_cached_decision() -> None:
    policy = shipped()
    for number in range(500):
        policy.decide(person(f"stranger-{number}"), START, team=f"team-{number}")
    assert len(policy._decisions) == 1


def test_a_decision_is_evaluated_once_a_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = policy_of(["everyone * run:start * allow"])
    evaluated = 0
    evaluate = Enforcers.evaluate

    def count(self: Enforcers, request: object) -> object:
        nonlocal evaluated
        evaluated += 1
        return evaluate(self, request)  # type: ignore[arg-type]  # a double of it

    monkeypatch.setattr(Enforcers, "evaluate", count)
    for _ in range(5):
        policy.decide(person("anna"), START, team="sales", relations=["owner", "author"])
        policy.decide(person("anna"), START, team="sales", relations=("author", "owner"))
    assert evaluated == 1


def test_many_threads_get_the_answers_of_one() -> None:
    expected_of = shipped()
    questions = [
        (person(who), permission, team, data_class)
        for who in ("sales-owner", "auditor", "coe-lead", "finance-lead", "outsider")
        for permission in Permission
        for team in ("sales", "finance", "coe")
        for data_class in DataClass
    ]
    expected = [
        expected_of.decide(who, permission, team=team, data_class=data_class)
        for who, permission, team, data_class in questions
    ]
    policy = shipped()
    wrong: list[object] = []

    def ask(offset: int) -> None:
        for index in range(len(questions)):
            at = (index + offset) % len(questions)
            who, permission, team, data_class = questions[at]
            got = policy.decide(who, permission, team=team, data_class=data_class)
            if got != expected[at]:
                wrong.append((questions[at], got))

    threads = [threading.Thread(target=ask, args=(start * 97,)) for start in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


# ---------------------------------------------------------------- against a second implementation

ROLES = ["owner", "dev", "lead"]
TEAMS = ["sales", "finance", "coe"]
PERMS = ["run:start", "run:read", "entry:read"]
SUBJECTS = ["anna", "bert", "service:w/sales", "owner", "stranger"]

line_fields = st.tuples(
    st.sampled_from(
        [
            *ROLES,
            *(f"{team}/{role}" for team in ("coe", "sales") for role in ROLES),
            "everyone",
            "employee",
            "member",
            "relation:author",
            "relation:requester",
            "kind:service",
            "kind:person",
        ]
    ),
    st.sampled_from(["*", "*", *TEAMS]),
    st.sampled_from(PERMS),
    st.sampled_from(["*", "*", *(each.value for each in DataClass)]),
    st.sampled_from(["allow", "allow", "deny"]),
)


def without_effect(fields: tuple[str, ...]) -> tuple[str, ...]:
    return fields[:-1]


lines_strategy = st.lists(line_fields, min_size=1, max_size=12, unique_by=without_effect)
members_strategy = st.dictionaries(
    st.sampled_from(SUBJECTS[:-1]),
    st.dictionaries(st.sampled_from(TEAMS), st.lists(st.sampled_from(ROLES), max_size=2)),
)
relations_strategy = st.sets(st.sampled_from(["author", "requester"]))


def read_again(  # noqa: PLR0917  # the same as the test's
    lines: list[tuple[str, ...]],
    members: dict[str, dict[str, list[str]]],
    who: str,
    permission: str,
    team: str,
    data_class: DataClass,
    relations: set[str],
) -> tuple[bool, set[str]]:
    """A second implementation: allowed or not, and the lines that could have decided."""
    mine = members.get(who, {})
    is_person = not who.startswith("service:")
    names = {"everyone", f"kind:{'person' if is_person else 'service'}"}
    related = {f"relation:{relation}" for relation in relations}
    names |= set(mine.get(team, ()))
    names |= {f"{where}/{role}" for where, roles in mine.items() for role in roles}
    if is_person and mine:
        names.add("employee")
    if is_person and team in mine:
        names.add("member")
    matching = [
        fields
        for fields in lines
        if fields[0] in names | (related if mine or fields[4] == "deny" else set())
        and fields[1] in {"*", team}
        and fields[2] == permission
        and fields[3] in {"*", data_class.value}
    ]
    denied = {", ".join(("p", *fields)) for fields in matching if fields[4] == "deny"}
    allowed = {", ".join(("p", *fields)) for fields in matching if fields[4] == "allow"}
    return (True, allowed) if allowed and not denied else (False, denied)


@settings(max_examples=300, deadline=None)
@given(
    lines=lines_strategy,
    members=members_strategy,
    who=st.sampled_from(SUBJECTS),
    permission=st.sampled_from(PERMS),
    team=st.sampled_from([*TEAMS, "elsewhere"]),
    data_class=st.sampled_from(DataClass),
    relations=relations_strategy,
)
def test_decisions_are_those_of_a_second_implementation(  # noqa: PLR0917  # drawn by Hypothesis
    lines: list[tuple[str, ...]],
    members: dict[str, dict[str, list[str]]],
    who: str,
    permission: str,
    team: str,
    data_class: DataClass,
    relations: set[str],
) -> None:
    policy = policy_of(lines, members)
    allowed, deciding = read_again(lines, members, who, permission, team, data_class, relations)
    for _ in range(2):
        decision = policy.decide(
            Actor.of(who), permission, team=team, data_class=data_class, relations=relations
        )
        assert decision.allowed is allowed
        assert (decision.rule in deciding) if deciding else (decision.rule is None)


@given(subject=st.text(max_size=12), team=st.text(max_size=8), permission=st.text(max_size=12))
def test_any_text_is_refused_without_an_exception(subject: str, team: str, permission: str) -> None:
    policy = policy_of(["lead * run:start * allow"], {"anna": {"sales": ["lead"]}})
    for kind in ActorKind:
        actor = Actor(subject, kind, subject)
        assert not policy.decide(actor, permission, team=team).allowed
        if subject != "anna":
            assert not policy.decide(actor, START, team="sales").allowed


@given(
    fields=st.lists(st.one_of(st.text(max_size=6), st.sampled_from(["*", "allow", "run:start"])))
)
def test_a_line_has_valid_fields_only(fields: list[str]) -> None:
    try:
        line = PolicyLine.of(fields)
    except ValueError:
        return
    assert list(line.fields) == fields
    assert all(fields)
    assert not any(set(field) & set(",\n\"' ") for field in fields)


def test_the_permissions_are_sorted_and_follow_the_grammar() -> None:
    values = [permission.value for permission in Permission]
    assert values == sorted(values)
    assert [p.name for p in Permission] == [v.upper().replace(":", "_") for v in values]
    assert set(values) == PERMISSIONS
    assert [each.value for each in Relation] == sorted(each.value for each in Relation)
