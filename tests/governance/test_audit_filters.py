"""A filter of the log is understood or refused: its form never makes an empty list."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from coe.audit.events import Tag
from coe.audit.queries import AuditEventFilter
from coe.errors import Invalid
from coe.governance.audit_filters import as_meant

KEY = "01a204ad-a69e-70a2-985e-cb36c368b5b1"
AT = datetime(2026, 1, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("flow:warehouse/x", ["flow:warehouse/x"]),
        ("flow:warehouse/x@1.0.0", ["flow:warehouse/x@1.0.0"]),
        ("flow:warehouse/*", ["flow:warehouse/*"]),
        ("*", ["*"]),
        ("run:*", ["run:*"]),
        ("audit:log", ["audit:log"]),
        ("team:sales", ["team:sales"]),
        (f"run:{KEY.upper()}", [f"run:{KEY}"]),
        (KEY, [f"{kind}:{KEY}" for kind in ("event", "human_task", "run", "token")]),
    ],
)
def test_a_resource_is_understood(given: str, meant: list[str]) -> None:
    assert list(as_meant(AuditEventFilter(resources=[given])).resources) == meant


@pytest.mark.parametrize("name", ["warehouse/x", "warehouse/x@1.0.0", "warehouse/*"])
def test_a_ref_without_its_kind_is_every_kind(name: str) -> None:
    meant = set(as_meant(AuditEventFilter(resources=[name])).resources)
    assert {f"flow:{name}", f"template:{name}", f"decision:{name}", f"system:{name}"} <= meant


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("runs:run:cancel", {Tag.RUNS_RUN_CANCEL}),
        ("run:cancel", {Tag.RUNS_RUN_CANCEL}),
        ("flow:publish", {Tag.CATALOG_FLOW_PUBLISH}),
        ("schedule:*", {Tag.RUNS_SCHEDULE_PAUSE, Tag.RUNS_SCHEDULE_RESUME}),
        ("publish", {Tag.CATALOG_DECISION_PUBLISH, Tag.CATALOG_FLOW_PUBLISH,
                     Tag.CATALOG_TEMPLATE_PUBLISH}),
    ],
)  # fmt: skip
def test_an_action_may_leave_its_source_out(given: str, meant: set[Tag]) -> None:
    assert set(as_meant(AuditEventFilter(actions=[given])).actions) == meant


@pytest.mark.parametrize("tag", list(Tag))
def test_every_action_is_known(tag: Tag) -> None:
    assert as_meant(AuditEventFilter(actions=[tag.value])).actions == (tag.value,)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("resources", "flwo:sales/x", "did you mean `flow`"),
        ("resources", "flow:order", "flow:order"),
        ("resources", "flow:sales/x@^1", "flow:sales/x@^1"),
        ("resources", "run:mine", "run:mine"),
        ("resources", "sales", "sales"),
        ("resources", "", "''"),
        ("actions", "runs:run:cancle", "did you mean `runs:run:cancel`"),
        ("actions", "cancle", "did you mean `cancel`"),
        ("actions", "", "''"),
        ("actors", "Fiona Smith", "is not a subject"),
        ("teams", "Sales Team", "is not the name of a team"),
    ],
)
def test_what_can_match_nothing_is_located(name: str, value: str, message: str) -> None:
    with pytest.raises(Invalid) as refused:
        as_meant(AuditEventFilter(**{name: [value]}))
    [problem] = refused.value.problems
    assert problem.path == f"/filter/{name}/0"
    assert message in problem.message


def test_a_time_that_never_is_is_refused() -> None:
    with pytest.raises(Invalid) as refused:
        as_meant(AuditEventFilter(after=AT, before=AT))
    assert refused.value.problems[0].path == "/filter/before"
