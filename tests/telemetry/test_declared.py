"""Every metric: its name and its labels, and that the process exports what is declared only."""

from __future__ import annotations

import re

import prometheus_client
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from coe.telemetry import declaring
from coe.telemetry.declaring import DECLARED, REGISTRY, counter
from coe.telemetry.exposition import exposition

OF_PROCESS = re.compile(r"process_\w+")
"""Those of the operating system, which the client library exports."""
UNITS = re.compile(r"_(seconds|ratio|info|total)$")
COUNTS = {
    "coe_audit_refused_rows",
    "coe_audit_sealer_active",
    "coe_audit_sealer_present",
    "coe_audit_sealer_problem",
    "coe_audit_unsealed_events",
    "coe_computing_busy",
    "coe_computing_requests",
    "coe_computing_size",
    "coe_database_pool_in_use",
    "coe_database_pool_size",
    "coe_gateway_sockets",
    "coe_journal_group_size",
    "coe_outbox_messages",
    "coe_policy_in_force",
    "coe_policy_version",
    "coe_runs",
    "coe_schema_revision",
    "coe_team_workers",
}
"""Numbers of things, which have no unit."""


@pytest.mark.parametrize("name", sorted(DECLARED))
def test_a_name_ends_with_its_unit_and_each_label_says_what_bounds_it(name: str) -> None:
    declared = DECLARED[name]
    assert UNITS.search(name) or name in COUNTS
    assert declared.help.endswith(".")
    assert all(label.values for label in declared.labels)


def test_what_is_exported_is_what_is_declared() -> None:
    body, content_type = exposition()
    assert content_type.startswith("text/plain")
    names = {family.name for family in text_string_to_metric_families(body.decode())}
    names = {name for name in names if not OF_PROCESS.fullmatch(name)}
    declared = {name.removesuffix("_total") for name in DECLARED}
    not_known = {name for name in DECLARED if name not in names and DECLARED[name].kind == "gauge"}
    assert names | not_known == declared


def test_what_a_process_does_not_know_it_does_not_export(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = CollectorRegistry()
    monkeypatch.setattr(declaring, "REGISTRY", registry)
    monkeypatch.setattr(declaring, "DECLARED", {})
    known = declaring.reading("coe_known_seconds", "Known later.")
    assert registry.get_sample_value("coe_known_seconds") is None
    known.set(0)
    assert registry.get_sample_value("coe_known_seconds") == 0


def test_the_registry_is_not_the_default_one_of_the_library() -> None:
    assert REGISTRY is not prometheus_client.REGISTRY
    assert not any(
        name.startswith("coe_") for name in prometheus_client.REGISTRY._names_to_collectors
    )


def test_prometheus_may_ask_for_openmetrics() -> None:
    body, content_type = exposition("application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")


@pytest.mark.parametrize("name", ["runs_total", "coe_runs_counted"])
def test_a_counter_without_the_form_of_one_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="begins with coe_"):
        counter(name, "Wrong.")
