"""Names that a document refers to: each kind that exists, that does not, and that is not known."""

from __future__ import annotations

from pathlib import Path

import pytest

from coe.errors import Problem, Severity
from coe.language.lint import NO_STANDARDS, Catalogued, KnownFlow, Stage, lint
from coe.language.lint.stages import ALLOWED_IN_DRAFTS
from coe.language.names.directory import KnownNames, Names, name_problems
from coe.language.names.folders import names_in, root_above
from coe.language.names.references import NameKind, named_by, named_by_table
from coe.language.source import read
from tests.factories.definitions import loaded

ROOT = Path(__file__).resolve().parents[2]
ASK = "call: 'humanTask:1@default', with: {title: x, candidates: {roles: [%s]}%s}"
TELL = "call: 'notify:1@default', with: {channel: %s, to: a@b.c, subject: x, body: y}"


def names(*values: str) -> Names:
    return Names(frozenset(values), frozenset(values))


KNOWN = KnownNames(
    {
        NameKind.PERSON: names("ada", "grace"),
        NameKind.ROLE: names("lead", "developer"),
        NameKind.TEAM: names("sales", "finance"),
        NameKind.SYSTEM: names("sales/crm"),
        NameKind.CHANNEL: names("mail"),
        NameKind.SECRET: names("erpToken"),
    },
    {("sales", "lead"), ("finance", "developer")},
)
# Each: a task, more of the document, and what is found: code, severity at publication, the message.
LEADING_NOWHERE: dict[str, tuple[str, str, list[tuple[str, str, str]]]] = {
    "a process owner": (
        "wait: PT1S",
        "metadata: {processOwner: adda}",
        [("OWS080", "ERROR", "there is no person `adda`, did you mean `ada`?")],
    ),
    "a deputy": (
        "wait: PT1S",
        "metadata: {deputy: ghost}",
        [("OWS080", "ERROR", "there is no person `ghost`")],
    ),
    "a system": (
        "wait: PT1S",
        "metadata: {systems: [sales/crm, sales/crn]}",
        [("OWS083", "ERROR", "there is no system `sales/crn`, did you mean `sales/crm`?")],
    ),
    "a channel": (
        TELL % "maill",
        "",
        [("OWS084", "ERROR", "there is no channel `maill`, did you mean `mail`?")],
    ),
    "a role": (
        ASK % ("leed", ""),
        "",
        [("OWS081", "ERROR", "there is no role `leed`, did you mean `lead`?")],
    ),
    "a role of another team": (
        ASK % ("finance/leed", ""),
        "",
        [("OWS081", "ERROR", "there is no role `leed`, did you mean `lead`?")],
    ),
    "a role of every team": (
        ASK % ("'*/leed'", ""),
        "",
        [("OWS081", "ERROR", "there is no role `leed`, did you mean `lead`?")],
    ),
    "a team": (
        ASK % ("finanse/lead", ""),
        "",
        [("OWS081", "ERROR", "there is no team `finanse`, did you mean `finance`?")],
    ),
    "nobody has it in the own team": (
        ASK % ("developer", ""),
        "",
        [
            (
                "OWS081",
                "WARNING",
                "nobody in the team `sales` is `developer`, so nobody could answer",
            )
        ],
    ),
    "nobody has it in another team": (
        ASK % ("finance/lead", ""),
        "",
        [
            (
                "OWS081",
                "WARNING",
                "nobody in the team `finance` is `lead`, so nobody could answer",
            )
        ],
    ),
    "an escalation": (
        ASK % ("lead", ", escalate: [{after: PT1S, to: nowhere/nobody}]"),
        "",
        [("OWS081", "ERROR", "there is no team `nowhere`")],
    ),
    "somebody excluded": (
        ASK % ("lead", ", exclude: [requester, approvers, gracy]"),
        "",
        [("OWS080", "ERROR", "there is no person `gracy`, did you mean `grace`?")],
    ),
}
RIGHT = {
    "a role of the own team": ASK % ("lead", ", escalate: [{after: PT1S, to: finance/developer}]"),
    "a role of every team": ASK % ("'*/developer'", ", exclude: [requester, approvers, ada]"),
    "a channel": TELL % "mail",
    "what only a run knows": ASK % ("'${ .role }'", ""),
}


def found(
    task: str, about: str = "", more: str = "", *, known: KnownNames = KNOWN, **options: object
) -> list[Problem]:
    lookup = Catalogued({}, known_names=known)
    problems = lint(
        loaded(f"- a: {{{task}}}", more=more, about=about),
        known=lookup,
        standards=NO_STANDARDS,
        **options,  # type: ignore[arg-type]
    )
    return [each for each in problems if each.code in set(NameKind)]


@pytest.mark.parametrize(
    ("task", "about", "expected"), LEADING_NOWHERE.values(), ids=LEADING_NOWHERE
)
def test_a_name_that_leads_nowhere_is_an_error_at_publication(
    task: str, about: str, expected: list[tuple[str, str, str]]
) -> None:
    problems = found(task, about, stage=Stage.PUBLICATION)
    assert [(each.code, each.severity, each.message) for each in problems] == expected
    assert all(each.line and each.column and each.path for each in problems)


@pytest.mark.parametrize(
    ("task", "about", "expected"), LEADING_NOWHERE.values(), ids=LEADING_NOWHERE
)
def test_in_a_draft_it_is_a_warning(
    task: str, about: str, expected: list[tuple[str, str, str]]
) -> None:
    problems = found(task, about)
    assert [(each.code, each.message) for each in problems] == [
        (code, message) for code, _, message in expected
    ]
    assert {each.severity for each in problems} == {Severity.WARNING}


def test_a_secret_that_the_team_does_not_have_is_a_problem() -> None:
    [problem] = found("wait: PT1S", more="use: {secrets: [erpTokn]}\n", stage=Stage.PUBLICATION)
    assert (problem.code, problem.severity) == ("OWS085", Severity.ERROR)
    assert problem.message == "there is no secret `erpTokn`, did you mean `erpToken`?"


@pytest.mark.parametrize("task", RIGHT.values(), ids=RIGHT)
def test_a_name_that_exists_is_no_problem(task: str) -> None:
    about = "metadata: {processOwner: ada, deputy: grace, systems: [sales/crm]}"
    assert found(task, about, "use: {secrets: [erpToken]}\n", stage=Stage.PUBLICATION) == []


def test_a_team_without_a_place_in_the_catalog_is_a_problem() -> None:
    known = KnownNames({**KNOWN.by_kind, NameKind.TEAM: names("finance")}, KNOWN.held)
    [problem] = found("wait: PT1S", known=known, stage=Stage.PUBLICATION)
    assert (problem.code, problem.path) == ("OWS082", "/document/namespace")


def test_what_is_not_known_here_is_noted_once_a_kind() -> None:
    task = ASK % ("lead, leed", ", exclude: [ghost]")
    problems = found(task, "metadata: {processOwner: x, deputy: y}", known=KnownNames())
    assert [(each.code, each.severity) for each in problems] == [
        ("OWS082", Severity.INFO),
        ("OWS080", Severity.INFO),
        ("OWS081", Severity.INFO),
    ]
    assert problems[1].message == "the person `x` is not looked up: no persons are known here"


def test_every_kind_of_name_is_allowed_in_drafts() -> None:
    assert {kind.value for kind in NameKind} <= ALLOWED_IN_DRAFTS.keys()


def test_only_names_that_may_be_read_are_suggested() -> None:
    known = KnownNames(
        {**KNOWN.by_kind, NameKind.PERSON: Names({"ada", "adam"}, {"ada"})}, KNOWN.held
    )
    assert not found("wait: PT1S", "metadata: {processOwner: adam}", known=known)
    [problem] = found("wait: PT1S", "metadata: {processOwner: adame}", known=known)
    assert problem.message == "there is no person `adame`, did you mean `ada`?"


def test_manifests_and_tables_are_looked_up_too() -> None:
    manifest = read("namespace: sales\nprocessOwner: adda\ndeputy: ada\nsystems: [sales/crn]\n")
    table = read("decision:\n  namespace: salse\n  metadata: {processOwner: ghost}\n")
    problems = [
        *name_problems(manifest, named_by(manifest.data), KNOWN, team="sales"),
        *name_problems(table, named_by_table(table.data), KNOWN, team="salse"),
    ]
    assert [(each.code, each.path, each.line) for each in problems] == [
        ("OWS080", "/processOwner", 2),
        ("OWS083", "/systems/0", 4),
        ("OWS082", "/decision/namespace", 2),
        ("OWS080", "/decision/metadata/processOwner", 3),
    ]


def test_a_called_flow_that_is_not_there_has_a_suggestion() -> None:
    task = "call: 'localFlow:1@default', with: {ref: warehouse/pik@^1}"
    for complete, severity in ((True, Severity.ERROR), (False, Severity.WARNING)):
        lookup = Catalogued({}, flow_names=["warehouse/pick"], complete=complete)
        [problem] = lint(
            loaded(f"- a: {{{task}}}"),
            known=lookup,
            standards=NO_STANDARDS,
            stage=Stage.PUBLICATION,
        )
        assert (problem.code, problem.severity) == ("OWS052", severity)
        assert problem.message.endswith(", did you mean `warehouse/pick`?")


def test_a_flow_that_is_there_needs_no_names() -> None:
    task = "call: 'localFlow:1@default', with: {ref: warehouse/pick@^1}"
    lookup = Catalogued({"warehouse/pick@^1": KnownFlow("1.0.0")})
    assert lint(loaded(f"- a: {{{task}}}"), known=lookup, standards=NO_STANDARDS) == ()


# ---------------------------------------------------------------- folders
def test_the_names_of_the_content_folders() -> None:
    known = names_in(root_above(ROOT / "flows" / "central"))
    assert root_above(ROOT / "flows") == ROOT
    assert "sales-owner" in known.by_kind[NameKind.PERSON].exist
    assert "service:worker/sales" in known.by_kind[NameKind.PERSON].exist
    assert {"sales", "coe"} <= set(known.by_kind[NameKind.TEAM].exist)
    assert {"lead", "finance-approver"} <= set(known.by_kind[NameKind.ROLE].exist)
    assert ("finance", "lead") in known.held
    assert set(known.by_kind[NameKind.SYSTEM].exist) == {
        "finance/erp",
        "sales/crm",
        "warehouse/wms",
    }
    assert not known.by_kind.keys() & {NameKind.CHANNEL, NameKind.SECRET}


def test_without_folders_nothing_is_known(tmp_path: Path) -> None:
    assert names_in(root_above(tmp_path)).by_kind == {}


def test_what_a_broken_file_may_have_is_not_known(tmp_path: Path) -> None:
    teams = tmp_path / "catalog" / "teams"
    teams.mkdir(parents=True)
    (teams / "sales.yaml").write_text("team: sales\nmembers: [{subject: ada, roles: [lead]}]\n")
    assert names_in(tmp_path).by_kind[NameKind.ROLE].exist == {"lead"}
    names_in.cache_clear()
    (teams / "finance.yaml").write_text("team: [finance\n")
    assert names_in(tmp_path).by_kind == {}
