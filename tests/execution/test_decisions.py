"""Decisions of runs: which version, which rules, what is kept; past cases on another version."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import select, text, update

from coe.access.actor import Actor
from coe.catalog import actions as catalog
from coe.catalog.decision_tables.actions import register_decision
from coe.db import utcnow
from coe.engines.inline import InlineEngine
from coe.errors import Invalid, NotFound
from coe.execution.loops import Loops
from coe.execution.open_runtime import open_runtime
from coe.json_types import JSON
from coe.language.expressions.evaluator import Expressions
from coe.language.load import load
from coe.runs.decisions.decision_cases import CaseFilter, cases_page, read_case_data
from coe.runs.decisions.decision_replay import ReplayRequest, replay_cases
from coe.runs.disclosure import read_run_data
from coe.runs.records import RunRecord
from coe.runs.tables import CASES
from coe.testing.cases import SimulationCase
from coe.testing.decision_files import CatalogTables
from coe.testing.run_definition import simulate
from coe.work import Platform
from tests.factories.decision_flows import ASKING, REF, level, publish_table
from tests.factories.people import AUDITOR, FINANCE_DEVELOPER, FINANCE_LEAD, SALES_OWNER
from tests.factories.runs import CANARY, publish, start, until


@asynccontextmanager
async def carried(platform: Platform) -> AsyncIterator[None]:
    """Runs with their real leaves."""
    async with open_runtime(platform) as runtime:
        inline = InlineEngine(runtime)
        loops = Loops(platform, inline)
        await loops.start()
        try:
            yield
        finally:
            await loops.close()
            await inline.close()


async def decided(platform: Platform, *amounts: JSON) -> list[RunRecord]:
    """A run for each amount, to its end."""
    runs = []
    async with carried(platform):
        for amount in amounts:
            given: JSON = {"customer": CANARY, "amount": amount}
            run = await start(platform, "sales/credit", given)
            runs.append(await until(platform, run.id, "COMPLETED", "FAULTED"))
    return runs


async def output(platform: Platform, run_id: UUID) -> JSON:
    async with platform.work(SALES_OWNER) as work:
        return (await read_run_data(work, [run_id]))[run_id].output


async def test_a_run_returns_the_version_and_the_rules_and_keeps_the_case(
    platform: Platform,
) -> None:
    await publish_table(platform, level())
    await publish(platform, ASKING)
    [run] = await decided(platform, 1500.5)
    assert run.state == "COMPLETED"
    answer = await output(platform, run.id)
    assert isinstance(answer, dict)
    assert answer["level"] == "finance"
    assert answer["decision"] == "finance/credit-level@1.0.0"
    assert answer["rules"] == ["large"]
    assert len(str(answer["digest"])) == 64
    async with platform.read(SALES_OWNER) as read:
        page = await cases_page(read, CaseFilter(REF, "1.0.0"))
    [case] = page.items
    assert (case.run_id, case.rules, case.failed) == (run.id, ("large",), False)
    assert (case.flow, case.path) == ("sales/credit", "/do/0/decide")
    async with platform.work(SALES_OWNER) as work:
        data = (await read_case_data(work, [case.id]))[case.id]
    assert data.input == {"amount": 1500.5, "customer": CANARY}
    assert data.output == {"level": "finance"}
    async with platform.database.session() as session:
        clear = await session.scalar(
            text("SELECT count(*) FROM decision_cases c WHERE c::text LIKE :word"),
            {"word": f"%{CANARY}%"},
        )
        assert clear == 0
        readings = await session.scalar(
            text(
                "SELECT count(*) FROM audit_events WHERE action = 'runs:run:read_data' "
                "AND resource = :run"
            ),
            {"run": f"run:{run.id}"},
        )
        assert readings == 2


async def test_a_run_keeps_the_version_with_which_it_began(platform: Platform) -> None:
    await publish_table(platform, level())
    waiting = ASKING.replace("do:\n", "do:\n  - later:\n      wait: PT2S\n")
    await publish(platform, waiting)
    async with carried(platform):
        run = await start(platform, "sales/credit", {"customer": "x", "amount": 1500})
        await until(platform, run.id, "RUNNING", "WAITING")
        ref = await publish_table(platform, level("1.1.0", limit="2000.00"))
        async with platform.work(FINANCE_LEAD) as work:
            await catalog.set_alias(work, REF, "live", "1.1.0")
            await catalog.deprecate(work, f"{REF}@1.0.0")
            await catalog.retire(work, f"{REF}@1.0.0")
        await until(platform, run.id, "COMPLETED")
    answer = await output(platform, run.id)
    assert isinstance(answer, dict)
    assert answer["decision"] == "finance/credit-level@1.0.0"
    [later] = await decided(platform, 1500)
    answer = await output(platform, later.id)
    assert isinstance(answer, dict)
    assert answer["decision"] == ref


async def test_a_refused_input_is_named_and_its_case_is_kept_as_failed(
    platform: Platform,
) -> None:
    await publish_table(platform, level())
    await publish(platform, ASKING)
    [run] = await decided(platform, -5)
    assert run.state == "FAULTED"
    assert run.error is not None
    assert run.error.type.endswith("/validation")
    async with platform.work(SALES_OWNER) as work:
        error = (await read_run_data(work, [run.id]))[run.id].error
    assert error is not None
    assert error.detail == (
        "finance/credit-level@1.0.0: /amount: the input `amount` must be 0 or more"
    )
    async with platform.read(SALES_OWNER) as read:
        [case] = (await cases_page(read, CaseFilter(REF))).items
    assert case.failed
    assert case.rules == ()


async def test_a_table_that_nobody_published_faults_the_step(platform: Platform) -> None:
    await publish_table(platform, level())
    await publish(platform, ASKING)
    async with platform.work(FINANCE_LEAD) as work:
        await work.session.execute(text("DELETE FROM entry_aliases WHERE version = '1.0.0' AND "
            "entry_id = (SELECT id FROM entries WHERE name = 'credit-level')"))  # fmt: skip
        await catalog.deprecate(work, f"{REF}@1.0.0")
        await catalog.retire(work, f"{REF}@1.0.0")
    [run] = await decided(platform, 5)
    assert run.state == "FAULTED"
    assert run.error is not None
    assert run.error.type.endswith("/configuration")
    async with platform.database.session() as session:
        assert (await session.execute(select(CASES.c.id))).all() == []


# ---------------------------------------------------------------- last month on the draft
async def draft(platform: Platform, manifest: str) -> str:
    async with platform.work(FINANCE_DEVELOPER) as work:
        return (await register_decision(work, manifest)).version.ref


@pytest.fixture
async def history(platform: Platform) -> Platform:
    """Four cases by version 1.0.0: 10, 900, 1500 and 5000."""
    await publish_table(platform, level())
    await publish(platform, ASKING)
    await decided(platform, 10, 900, 1500, 5000)
    return platform


async def replayed(platform: Platform, ref: str, actor: Actor = SALES_OWNER, **more):
    async with platform.work(actor) as work:
        return await replay_cases(work, ReplayRequest(ref, **more))


async def test_a_replay_returns_the_outcomes_that_change(history: Platform) -> None:
    ref = await draft(history, level("1.1.0", limit="2000.00"))
    found = await replayed(history, ref)
    assert (found.same, found.other_rules, found.changed, found.failed) == (3, 0, 1, 0)
    [item] = found.items
    assert item.input == {"amount": 1500, "customer": CANARY}
    assert (item.before.output, item.before.rules) == ({"level": "finance"}, ("large",))
    assert (item.after.output, item.after.rules) == ({"level": "none"}, ("small",))
    assert (found.total, found.has_next) == (4, False)


async def test_the_same_table_changes_nothing(history: Platform) -> None:
    found = await replayed(history, f"{REF}@1.0.0")
    assert (found.same, found.items) == (4, ())


async def test_a_replay_counts_the_same_outcome_by_other_rules_separately(
    history: Platform,
) -> None:
    renamed = level("1.1.0").replace("id: large", "id: everything-else")
    found = await replayed(history, await draft(history, renamed))
    assert (found.same, found.other_rules, found.changed) == (2, 2, 0)
    assert {item.same_outcome for item in found.items} == {True}


async def test_a_case_that_the_draft_cannot_answer_is_a_failure(history: Platform) -> None:
    strict = level("1.1.0").replace("minimum: 0}", "minimum: 0, maximum: 3000}")
    found = await replayed(history, await draft(history, strict))
    assert (found.same, found.failed) == (3, 1)
    assert found.items[0].after.failure == "the input `amount` must be 3000 or less"


async def test_cases_are_gone_through_in_parts(history: Platform) -> None:
    ref = await draft(history, level("1.1.0", limit="1.00"))
    first = await replayed(history, ref, first=3)
    rest = await replayed(history, ref, first=3, cursor=first.end_cursor)
    assert (first.changed, first.same, first.has_next) == (2, 1, True)
    assert (rest.changed, rest.same, rest.has_next) == (0, 1, False)
    with pytest.raises(Invalid):
        await replayed(history, ref, first=1001)


async def test_only_the_cases_of_the_window_and_the_flows_are_run(history: Platform) -> None:
    ref = f"{REF}@1.0.0"
    now = utcnow()
    async with history.database.session() as session:
        old = select(CASES.c.id).order_by(CASES.c.at).limit(1).scalar_subquery()
        await session.execute(
            update(CASES).where(CASES.c.id == old).values(at=now - timedelta(days=40))
        )
        await session.commit()
    assert (await replayed(history, ref, after=now - timedelta(days=30))).total == 3
    assert (await replayed(history, ref, before=now - timedelta(days=30))).total == 1
    assert (await replayed(history, ref, flows=("sales/credit",))).total == 4
    assert (await replayed(history, ref, flows=("sales/other",))).total == 0


async def test_only_readers_of_the_data_see_cases_and_it_is_recorded(
    history: Platform,
) -> None:
    ref = await draft(history, level("1.1.0", limit="2000.00"))
    lead, auditor = (
        await replayed(history, ref, FINANCE_LEAD),
        await replayed(history, ref, AUDITOR),
    )
    assert (lead.total, lead.items, lead.hidden) == (0, (), 4)
    assert (auditor.total, auditor.items, auditor.hidden) == (0, (), None)
    with pytest.raises(NotFound):
        await replayed(history, ref, Actor.of("outsider"))
    found = await replayed(history, ref)
    assert found.hidden is None
    async with history.database.session() as session:
        rows = await session.execute(
            text(
                "SELECT action, resource FROM audit_events WHERE actor = 'sales-owner' "
                "AND action IN ('runs:decision:replay', 'runs:run:read_data')"
            )
        )
        assert {tuple(row) for row in rows} == {
            ("runs:decision:replay", f"decision:{ref}"),
            ("runs:run:read_data", f"run:{found.items[0].row.run_id}"),
        }


async def test_a_case_of_a_table_that_faulted_is_answered_by_the_draft(
    platform: Platform,
) -> None:
    await publish_table(platform, level())
    await publish(platform, ASKING)
    await decided(platform, -5)
    wider = level("2.0.0").replace("minimum: 0}", "minimum: -100}")
    found = await replayed(platform, await draft(platform, wider))
    assert (found.changed, found.failed) == (1, 0)
    assert found.items[0].before.failure is not None
    assert found.items[0].after.output == {"level": "none"}


COMPUTED = ASKING.replace("name: credit", "name: computed").replace(f"{REF}@^1", "${ .table }")
NAMED = (
    COMPUTED
    + f"""  - never:
      if: ${{ false }}
      call: decision:1@default
      with: {{ref: {REF}@^1, input: {{amount: 1}}}}
"""
)


@pytest.mark.parametrize(
    ("process", "table", "state"),
    [
        (ASKING, "", "COMPLETED"),
        (NAMED, f"{REF}@1.0.0", "COMPLETED"),
        (NAMED, f"{REF}@^1", "COMPLETED"),
        (NAMED, REF, "FAULTED"),
        (NAMED, f"{REF}@7.0.0", "FAULTED"),
        (NAMED, f"{REF}@1.1.0", "FAULTED"),
        (NAMED, "nonsense", "FAULTED"),
        (COMPUTED, f"{REF}@1.0.0", "FAULTED"),
        (COMPUTED, f"{REF}@^1", "FAULTED"),
        (COMPUTED, REF, "FAULTED"),
        (COMPUTED, f"{REF}@7.0.0", "FAULTED"),
        (COMPUTED, "nonsense", "FAULTED"),
    ],
)
async def test_a_test_resolves_the_ref_of_a_table_as_a_run_does(
    platform: Platform, process: str, table: str, state: str
) -> None:
    """A run uses only the tables, in the versions, that its definition names."""
    await publish_table(platform, level())
    await publish(platform, process)
    name = "sales/credit" if process is ASKING else "sales/computed"
    given: JSON = {"customer": CANARY, "amount": 5, "table": table}
    async with carried(platform):
        started = await start(platform, name, given)
        run = await until(platform, started.id, "COMPLETED", "FAULTED")
    definition = load(process).definition
    assert definition is not None
    tables = CatalogTables({f"{REF}@1.0.0": level()}, {})
    case = SimulationCase(input=given)
    async with Expressions(workers=1) as expressions:
        trace = await simulate(definition, case, expressions.evaluate, runner=tables)
    assert (run.state, trace.state) == (state, state)
    if state == "FAULTED":
        assert run.error is not None
        assert run.error.type == trace.to_json()["error"]["type"]
        name = "validation" if table == "nonsense" else "authorization"
        assert run.error.type.endswith(f"/errors/{name}")
