"""The tests of a version are run by the platform when it is submitted (COE060)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from coe.access.actor import Actor
from coe.catalog import actions
from coe.catalog.decision_tables.actions import register_decision
from coe.catalog.models import Lifecycle
from coe.catalog.records import ChangedVersion
from coe.catalog.versions.evidence import TestEvidence, evidence_of
from coe.errors import Conflict, Invalid, Severity, errors_in
from coe.review import suite_process, suites
from coe.review.submission import gather_evidence
from coe.settings import Settings
from coe.templates.actions import register_template
from coe.work import Platform
from tests.conftest import ROOT
from tests.factories.catalog import central, local, register
from tests.factories.decision_flows import ASKING, level
from tests.factories.people import (
    COE_LEAD,
    COE_REVIEWER,
    FINANCE_DEVELOPER,
    SALES_OWNER,
    WAREHOUSE_DEVELOPER,
)

REF = "sales/returns@1.0.0"
TESTS = """\
tests:
  - name: the order is kept
    input: {orderId: "7"}
    expect: {output: {orderId: "7"}}
"""
FAILING = TESTS.replace('orderId: "7"}}', 'orderId: "8"}}')


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """The shipped standards: tests are required."""
    return settings.model_copy(update={"content_dir": ROOT})


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run suites without a process of their own, whose start takes a second."""

    async def run(request: bytes) -> dict[str, Any]:
        return await suite_process.run(orjson.loads(request))

    monkeypatch.setattr(suites, "_run", run)


async def submit(
    platform: Platform, ref: str = REF, author: Actor = SALES_OWNER
) -> tuple[ChangedVersion, TestEvidence | None]:
    evidence = await gather_evidence(platform, author, ref)
    async with platform.work(author) as work:
        return await actions.submit_for_review(work, ref, evidence=evidence), evidence


async def test_the_tests_are_run_and_their_result_is_kept(platform: Platform) -> None:
    saved = await register(platform, SALES_OWNER, central(), tests=TESTS)
    moved, evidence = await submit(platform)
    assert moved.version.lifecycle is Lifecycle.IN_REVIEW
    async with platform.read(COE_REVIEWER) as read:
        kept = (await evidence_of(read, [saved.version.id]))[saved.version.id]
    assert kept == evidence
    assert kept.passed
    assert [case.name for case in kept.cases] == ["the order is kept"]
    assert (kept.steps, kept.steps_reached) == (1, 1)
    assert (kept.digest, kept.tests_digest) == (saved.version.digest, saved.version.tests_digest)
    async with platform.work(COE_REVIEWER) as work:
        await actions.review(work, REF, approve=False, comment="no")
    await register(platform, SALES_OWNER, central(step="other"))
    async with platform.read(COE_REVIEWER) as read:
        assert await evidence_of(read, [saved.version.id]) == {}


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize(
    ("tests", "code", "message"),
    [
        (None, "COE060", "has no tests"),
        ("", "COE060", "has no tests"),
        (FAILING, "TEST_FAILED", "tests.yaml at /tests/0/expect/output: output.orderId"),
        ("tests: [{name: x, expct: {}}]", "OWS010", "did you mean `expect`"),
    ],
)
async def test_a_version_without_passing_tests_is_not_submitted(
    platform: Platform, tests: str | None, code: str, message: str
) -> None:
    await register(platform, SALES_OWNER, central(), tests=tests)
    with pytest.raises(Invalid) as refused:
        await submit(platform)
    [problem] = [each for each in errors_in(refused.value.problems) if message in each.message]
    assert problem.code == code


@pytest.mark.usefixtures("in_this_process")
async def test_tests_that_reach_too_little_are_refused(platform: Platform) -> None:
    branch = """\
  - decide:
      switch:
        - large: {when: '${ .orderId == "9" }', then: exit}
        - other: {then: continue}
output:
  schema"""
    text = central().replace("output:\n  schema", branch)
    await register(platform, SALES_OWNER, text, tests=TESTS)
    with pytest.raises(Invalid) as refused:
        await submit(platform)
    [problem] = errors_in(refused.value.problems)
    assert problem.code == "COE060"
    assert "the tests reach 50 % of the branches" in problem.message


@pytest.mark.usefixtures("in_this_process")
async def test_a_draft_that_changed_while_its_tests_ran_is_not_submitted(
    platform: Platform,
) -> None:
    await register(platform, SALES_OWNER, central(), tests=TESTS)
    evidence = await gather_evidence(platform, SALES_OWNER, REF)
    await register(platform, SALES_OWNER, central(title="Other"))
    with pytest.raises(Conflict, match="changed while its tests ran"):
        async with platform.work(SALES_OWNER) as work:
            await actions.submit_for_review(work, REF, evidence=evidence)


async def test_tests_that_never_end_are_ended(platform: Platform, settings: Settings) -> None:
    endless = central().replace(
        'set: {orderId: "${ .orderId }"}', 'set: {orderId: "${ [range(1e9)] | length }"}'
    )
    await register(platform, SALES_OWNER, endless, tests=TESTS)
    hasty = Platform.open(settings.model_copy(update={"test_seconds": 0.05}))
    try:
        evidence = await gather_evidence(hasty, SALES_OWNER, REF)
    finally:
        await hasty.close()
    assert evidence is not None
    [problem] = evidence.problems
    assert "took more than 0.05 s, and were ended" in problem.message
    with pytest.raises(Invalid):
        async with platform.work(SALES_OWNER) as work:
            await actions.submit_for_review(work, REF, evidence=evidence)


TABLE = "finance/credit-level@1.0.0"
TABLE_TESTS = """\
tests:
  - {name: of another table, decision: other.yaml, input: {}, expect: {rules: [small]}}
  - {name: small, decision: credit-level.yaml, input: {amount: 1}, expect: {rules: [small]}}
  - {name: large, input: {amount: 2000}, expect: {rules: [large]}}
"""
ASKING_TESTS = """\
tests:
  - name: it asks the table
    input: {amount: 1, customer: c}
    expect: {state: COMPLETED, called: {decide: 1}}
"""


@pytest.mark.usefixtures("in_this_process")
async def test_a_table_is_tested_and_then_flows_are_tested_with_it(platform: Platform) -> None:
    async with platform.work(FINANCE_DEVELOPER) as work:
        await register_decision(work, level(), tests=TABLE_TESTS)
    _, evidence = await submit(platform, TABLE, FINANCE_DEVELOPER)
    assert evidence is not None
    assert [case.name for case in evidence.cases] == ["small", "large"]
    assert (evidence.branches, evidence.branches_reached) == (2, 2)
    async with platform.work(COE_REVIEWER) as work:
        await actions.review(work, TABLE, approve=True, comment="fine")
        await actions.publish(work, TABLE)
    await register(platform, SALES_OWNER, ASKING, tests=ASKING_TESTS)
    _, evidence = await submit(platform, "sales/credit@1.0.0")
    assert evidence is not None
    assert evidence.passed


@pytest.mark.usefixtures("in_this_process")
async def test_a_table_whose_rule_fires_in_no_test_is_not_submitted(platform: Platform) -> None:
    tests = "\n".join(TABLE_TESTS.splitlines()[:-1])
    async with platform.work(FINANCE_DEVELOPER) as work:
        await register_decision(work, level(), tests=tests)
    with pytest.raises(Invalid) as refused:
        await submit(platform, TABLE, FINANCE_DEVELOPER)
    [problem] = errors_in(refused.value.problems)
    assert problem.message == "the tests let 1 of the 2 rules fire, not 100 %"


@pytest.mark.usefixtures("in_this_process")
async def test_the_tests_of_a_template_are_among_its_files(platform: Platform) -> None:
    files = {path.name: path.read_text() for path in (ROOT / "templates/incident-review").iterdir()}
    files["tests.yaml"] = files["tests.yaml"].replace("COMPLETED", "FAULTED", 1)
    async with platform.work(COE_LEAD) as work:
        saved = await register_template(work, files)
    with pytest.raises(Invalid) as refused:
        await submit(platform, saved.version.ref, COE_LEAD)
    assert "TEST_FAILED" in {each.code for each in errors_in(refused.value.problems)}


async def test_a_local_flow_has_no_tests_here(platform: Platform) -> None:
    with pytest.raises(Invalid) as refused:
        await register(platform, WAREHOUSE_DEVELOPER, local(), tests=TESTS)
    assert refused.value.problems[-1].path == "/tests"


@pytest.mark.usefixtures("in_this_process")
async def test_where_the_standard_only_warns_a_failing_test_is_kept_and_shown(
    platform: Platform, content_folder: Path
) -> None:
    lenient = Platform.open(platform.settings.model_copy(update={"content_dir": content_folder}))
    try:
        saved = await register(lenient, SALES_OWNER, central(), tests=FAILING)
        moved, _ = await submit(lenient)
        assert {each.severity for each in moved.problems} == {Severity.WARNING}
        async with lenient.read(COE_REVIEWER) as read:
            kept = (await evidence_of(read, [saved.version.id]))[saved.version.id]
        assert (kept.failed, kept.passed) == (1, False)
    finally:
        await lenient.close()
