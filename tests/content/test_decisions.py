"""Every shipped decision table is without problems, and its tests let every rule fire."""

from __future__ import annotations

from coe import content
from coe.catalog.decision_tables.documents import read_decision
from coe.decisions.table_tests import run_tests
from coe.testing.decision_files import FOLDER, DecisionFiles

DECISIONS = content.root() / FOLDER


def test_every_shipped_table_is_complete_and_tested_whole() -> None:
    files = {path.name: path.read_text() for path in DECISIONS.glob("*.yaml")}
    tables, problems = run_tests(files)
    assert problems == ()
    assert tables
    for each in tables:
        assert each.problems == ()
        assert [case for case in each.cases if case.failures] == []
        assert each.unfired == ()


def test_every_shipped_table_belongs_to_a_team_and_says_who_owns_it() -> None:
    teams = {path.stem for path in (content.root() / "catalog" / "teams").glob("*.yaml")}
    for _, source in DecisionFiles(DECISIONS).sources:
        entry, problems, _ = read_decision(source.text)
        assert problems == ()
        assert entry is not None
        assert entry.table.document.decision.namespace in teams
        assert entry.search_document.process_owner
        assert entry.search_document.summary
