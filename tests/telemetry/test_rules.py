"""Alerts, their pages, their cases and the dashboard: all speak of metrics that exist."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from tests.factories.promql import exported, labels_of, metrics_of, selectors

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "helm" / "coe" / "files" / "rules"
RUNBOOKS = ROOT / "docs" / "operations" / "runbooks"
CASES = Path(__file__).parent / "rules"
DASHBOARD = ROOT / "helm" / "coe" / "files" / "dashboards" / "coe.json"
OF_SCRAPES = {"instance", "job", "alertname", "alertstate"}
"""Labels that Prometheus adds."""
FILES = {path: yaml.safe_load(path.read_text()) for path in sorted(RULES.glob("*.yaml"))}
ALERTS = {
    rule["alert"]: rule
    for groups in FILES.values()
    for group in groups["groups"]
    for rule in group["rules"]
}
TESTS = [
    test
    for path in sorted(CASES.glob("*.yaml"))
    for test in yaml.safe_load(path.read_text())["tests"]
]
PANELS = [each for each in json.loads(DASHBOARD.read_text())["panels"] if each["type"] != "row"]


def check_query(query: str) -> None:
    """Require that a query can be parsed, and reads series and labels that exist."""
    assert metrics_of(query) <= exported(), query
    tree = promql_parser.parse(query)
    known = set(OF_SCRAPES)
    for selector in selectors(tree):
        if not selector.name.startswith("coe_"):
            continue
        labels = labels_of(selector.name)
        known |= labels
        named = {matcher.name for matcher in selector.matchers.matchers}
        assert named <= labels | OF_SCRAPES, f"{selector.name} has no label {named - labels}"
    grouped = re.findall(r"\b(?:by|without|on|ignoring) \(([^)]*)\)", query)
    named = {name.strip() for group in grouped for name in group.split(",")} - {""}
    assert named <= known, f"{query}: no metric of it has {named - known}"


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_an_alert_is_whole_and_reads_metrics_that_exist(name: str) -> None:
    rule = ALERTS[name]
    check_query(rule["expr"])
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    page = f"{{{{ $externalLabels.coe_url }}}}/docs/operations/runbooks/{name}.html"
    assert rule["annotations"]["runbook_url"] == page


def test_each_alert_has_a_page_and_each_page_an_alert() -> None:
    assert {path.stem for path in RUNBOOKS.glob("*.md")} == set(ALERTS)
    listed = re.findall(r"\[(Coe\w+)\]\(runbooks", (RUNBOOKS.parent / "alerts.md").read_text())
    assert listed == list(ALERTS)


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_a_page_says_what_it_means_where_to_look_and_what_to_do(name: str) -> None:
    title, *parts = re.split(
        r"^#+ (.+)\n", (RUNBOOKS / f"{name}.md").read_text(), flags=re.MULTILINE
    )[1:]
    assert title == name
    assert parts[1::2] == ["What to look at", "What to do"]
    for query in re.findall(
        r"`((?:sum|max|min|count|rate|histogram_quantile)\b[^`]*)`", str(parts)
    ):
        check_query(query)
    named = set(re.findall(r"`(coe_[a-z_]+)", "".join(parts)))
    assert named <= {re.sub(r"_(bucket|count|sum)$", "", each) for each in exported()} | exported()


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_an_alert_has_a_case_that_fires_and_one_that_does_not(name: str) -> None:
    wanted = f'ALERTS{{alertname="{name}",alertstate="firing"}}'
    fires = {
        bool(each["exp_samples"])
        for test in TESTS
        for each in test["promql_expr_test"]
        if each["expr"] == wanted
    }
    assert fires == {True, False}


@pytest.mark.parametrize("test", TESTS, ids=[test["name"] for test in TESTS])
def test_a_case_uses_series_that_exist(test: dict[str, Any]) -> None:
    for each in test["input_series"]:
        check_query(each["series"])


@pytest.mark.parametrize("panel", PANELS, ids=[panel["title"] for panel in PANELS])
def test_a_panel_reads_metrics_that_exist(panel: dict[str, Any]) -> None:
    assert panel["targets"]
    for target in panel["targets"]:
        check_query(target["expr"])
        assert target["datasource"]["uid"] == "${datasource}"
        legend = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
        assert all(name in target["expr"] or name in OF_SCRAPES for name in legend)


def test_what_scales_by_a_metric_reads_one_that_exists() -> None:
    texts = [path.read_text() for path in (ROOT / "helm" / "coe" / "examples").glob("*.yaml")]
    queries = re.findall(r"^ *query: (.*coe_.*)$", "\n".join(texts), re.MULTILINE)
    assert queries
    for query in queries:
        check_query(query)


def test_the_panels_do_not_overlap() -> None:
    places = [panel["gridPos"] for panel in PANELS]
    cells = [
        (x, y)
        for place in places
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("sum(coe_runz)", "coe_runz"),
        ('coe_runs{stat="WAITING"}', "no label"),
        ("sum by (flo) (coe_runs)", "no metric of it"),
        ("rate(coe_runs_started_total)", "expected type"),
        ("sum(", "unclosed left parenthesis"),
    ],
)
def test_a_wrong_query_is_noticed(query: str, why: str) -> None:
    with pytest.raises((AssertionError, ValueError), match=why):
        check_query(query)
