"""Requests for runs and reads of them: permissions, checks, records in the audit log."""

from __future__ import annotations

import logging
from uuid import uuid4

import pytest
from sqlalchemy import func, select, text

from coe.errors import Conflict, Forbidden, Invalid, NotFound
from coe.human_tasks import actions as human_tasks
from coe.leaves.leaf import LeafFault
from coe.machine.machine import Machine
from coe.outbox import OUTBOX
from coe.runs import actions, disclosure, queries
from coe.runs.models import RunState
from coe.runs.records import RunFilter
from coe.runs.tables import RUNS
from coe.work import Platform
from tests.factories.audit import AUDIT
from tests.factories.people import (
    AUDITOR,
    FINANCE_APPROVER,
    FINANCE_DEVELOPER,
    OUTSIDER,
    SALES_OWNER,
)
from tests.factories.runs import (
    APPROVAL,
    CANARY,
    HTTP,
    Leaves,
    central,
    engine,
    open_task,
    publish,
    start,
    until,
)

SIMPLE = HTTP.format(name="credit")


async def _count(platform: Platform, table) -> int:
    async with platform.database.session() as session:
        return await session.scalar(select(func.count()).select_from(table)) or 0


async def test_a_run_keeps_its_exact_version(platform: Platform) -> None:
    await publish(platform, central("simple", SIMPLE))
    run = await start(platform, "sales/simple", correlation_id="order-7")
    assert (run.flow, run.version, run.state) == ("sales/simple", "1.0.0", "REQUESTED")
    assert (run.correlation_id, run.started_by, run.team) == ("order-7", "sales-owner", "sales")
    await publish(platform, central("simple", SIMPLE + HTTP.format(name="more"), version="1.1.0"))
    leaves = Leaves({"credit": {}})
    async with engine(platform, leaves):
        await until(platform, run.id, "COMPLETED")
    assert leaves.calls == {"credit": 1}


async def test_a_bad_input_gives_located_problems_and_saves_nothing(platform: Platform) -> None:
    await publish(platform, central("simple", SIMPLE))
    messages = await _count(platform, OUTBOX)
    with pytest.raises(Invalid) as refused:
        await start(platform, "sales/simple", {"amount": CANARY})
    assert [(each.code, each.path) for each in refused.value.problems] == [
        ("INPUT_TYPE", "/input/amount"),
        ("INPUT_REQUIRED", "/input/customer"),
    ]
    assert CANARY not in "".join(each.message for each in refused.value.problems)
    assert await _count(platform, RUNS) == 0
    assert await _count(platform, OUTBOX) == messages


async def test_formats_and_unknown_names_are_checked_before_a_run_starts(
    platform: Platform,
) -> None:
    members = "due: {type: string, format: duration}\n      additionalProperties: false"
    text = central("simple", SIMPLE).replace(
        "amount: {type: number}", f"amount: {{type: number}}\n        {members}"
    )
    await publish(platform, text)
    with pytest.raises(Invalid) as refused:
        await start(platform, "sales/simple", {"customer": "x", "due": "xx", "amuont": 1})
    assert [(each.code, each.path, each.help) for each in refused.value.problems] == [
        (
            "INPUT_ADDITIONALPROPERTIES",
            "/input/amuont",
            "did you mean `amount`? known here: customer, amount, due",
        ),
        ("INPUT_FORMAT", "/input/due", None),
    ]


async def test_a_correlation_id_has_a_bound(platform: Platform) -> None:
    await publish(platform, central("simple", SIMPLE))
    for bad in ("", "Ada Lovelace", "ada@example.com", "x" * 201, "a\nb"):
        with pytest.raises(Invalid):
            await start(platform, "sales/simple", correlation_id=bad)


async def test_the_policy_decides_who_may_start(platform: Platform) -> None:
    await publish(platform, central("simple", SIMPLE))
    with pytest.raises(NotFound):
        async with platform.work(OUTSIDER) as work:
            await actions.start_run(work, flow="sales/simple", input={"customer": "x"})
    with pytest.raises(Forbidden) as refused:
        async with platform.work(AUDITOR) as work:
            await actions.start_run(work, flow="sales/simple", input={"customer": "x"})
    assert refused.value.extensions["permission"] == "run:start"
    assert await _count(platform, RUNS) == 0
    with pytest.raises(NotFound):
        await start(platform, "sales/nothing")


async def test_an_actor_who_may_not_read_a_run_finds_nothing(platform: Platform) -> None:
    await publish(platform, central("simple", SIMPLE))
    run = await start(platform, "sales/simple")
    async with platform.work(OUTSIDER) as work:
        assert await queries.run(work, run.id) is None
        assert (await queries.runs(work)).total == 0
        assert await queries.steps_of_runs(work, [run.id]) == {}
        assert await disclosure.read_run_data(work, [run.id]) == {}
    for verb in (actions.cancel_run, actions.retry_run):
        with pytest.raises(NotFound):
            async with platform.work(OUTSIDER) as work:
                await verb(work, run.id, reason="curious")
        with pytest.raises(NotFound):
            async with platform.work(SALES_OWNER) as work:
                await verb(work, uuid4(), reason="a slip")


async def test_the_auditor_sees_runs_and_not_their_data(platform: Platform) -> None:
    await publish(platform, central("simple", SIMPLE))
    run = await start(platform, "sales/simple")
    async with platform.work(AUDITOR) as work:
        assert await queries.run(work, run.id) is not None
        assert await disclosure.read_run_data(work, [run.id]) == {}
        with pytest.raises(Forbidden):
            await actions.cancel_run(work, run.id, reason="no")


async def test_reading_the_data_is_recorded_with_the_line_that_allowed_it(
    platform: Platform,
) -> None:
    await publish(platform, central("simple", SIMPLE))
    run = await start(platform, "sales/simple")
    async with platform.work(SALES_OWNER) as work:
        assert (await disclosure.read_run_data(work, [run.id]))[run.id].input == {
            "customer": CANARY
        }
    async with platform.database.session() as session:
        rows = await session.execute(
            select(AUDIT.c.actor, AUDIT.c.resource, AUDIT.c.rule).where(
                AUDIT.c.action == "runs:run:read_data"
            )
        )
        [event] = rows.all()
    assert (event.actor, event.resource) == ("sales-owner", f"run:{run.id}")
    assert event.rule == "p, relation:owner, *, run:read_data, *, allow"


async def test_a_deputy_of_another_team_reads_the_data_and_steers_the_run(
    platform: Platform,
) -> None:
    owners = "processOwner: sales-owner\n    deputy: finance-developer"
    await publish(platform, central("simple", SIMPLE).replace("processOwner: sales-owner", owners))
    run = await start(platform, "sales/simple")
    async with platform.work(FINANCE_DEVELOPER) as work:
        assert (await disclosure.read_run_data(work, [run.id]))[run.id].input == {
            "customer": CANARY
        }
        cancelled = await actions.cancel_run(work, run.id, reason="wrong customer")
    assert cancelled.state is RunState.CANCELLED
    async with platform.database.session() as session:
        rows = await session.execute(
            select(AUDIT.c.action, AUDIT.c.rule).where(AUDIT.c.actor == FINANCE_DEVELOPER.subject)
        )
        rules = {row.action: row.rule for row in rows}
    assert rules == {
        "runs:run:read_data": "p, relation:owner, *, run:read_data, *, allow",
        "runs:run:cancel": "p, relation:owner, *, run:cancel, *, allow",
    }


async def test_pages_go_through_all_runs_newest_first(platform: Platform) -> None:
    await publish(platform, central("simple", SIMPLE))
    started = [await start(platform, "sales/simple", correlation_id=f"c{n}") for n in range(5)]
    seen: list[str] = []
    after = None
    async with platform.read(SALES_OWNER) as read:
        while True:
            page = await queries.runs(read, first=2, after=after)
            assert page.total == 5
            assert page.has_previous is (after is not None)
            seen += [run.correlation_id for run in page.items]
            if not page.has_next:
                break
            after = page.cursors[-1]
        assert seen == [run.correlation_id for run in reversed(started)]
        only = await queries.runs(read, RunFilter(correlation_id="c3", flows=("sales/simple",)))
        assert [run.correlation_id for run in only.items] == ["c3"]
        later = RunFilter(started_after=started[3].requested_at, states=(RunState.REQUESTED,))
        assert (await queries.runs(read, later)).total == 2
        with pytest.raises(Invalid):
            await queries.runs(read, after="nonsense")


async def test_only_a_faulted_run_is_retried_and_only_a_live_one_cancelled(
    platform: Platform,
) -> None:
    await publish(platform, central("simple", SIMPLE))
    run = await start(platform, "sales/simple")
    with pytest.raises(Conflict):
        async with platform.work(SALES_OWNER) as work:
            await actions.retry_run(work, run.id, reason="why not")
    async with engine(platform, Leaves({"credit": {}})):
        await until(platform, run.id, "COMPLETED")
    for verb in (actions.cancel_run, actions.retry_run):
        with pytest.raises(Conflict):
            async with platform.work(SALES_OWNER) as work:
                await verb(work, run.id, reason="too late")


async def test_every_change_of_a_run_is_in_the_log(platform: Platform) -> None:
    await publish(platform, central("asks", APPROVAL + SIMPLE))
    fails = [True]

    async def credit(leaf):
        if fails and fails.pop():
            raise LeafFault({"type": "about:erp", "status": 503, "detail": CANARY})
        return await Leaves({"credit": {}}).perform(leaf)

    async with engine(platform, Leaves({"credit": credit})):
        run = await start(platform, "sales/asks", correlation_id="order-9")
        task = await open_task(platform, run.id)
        async with platform.work(FINANCE_APPROVER) as work:
            await human_tasks.complete_task(
                work, task, outcome="approved", answer={"limit": 1}, reason=CANARY
            )
        await until(platform, run.id, "FAULTED")
        async with platform.work(SALES_OWNER) as work:
            await actions.retry_run(work, run.id, reason=CANARY)
        await until(platform, run.id, "COMPLETED")
    async with platform.database.session() as session:
        rows = await session.execute(
            select(AUDIT.c.actor, AUDIT.c.action)
            .where(AUDIT.c.correlation_id == "order-9")
            .order_by(AUDIT.c.at, AUDIT.c.id)
        )
        found = [(row.actor, row.action) for row in rows]
    me = f"run:{run.id}"
    assert found == [
        ("sales-owner", "runs:run:start"),
        (me, "runs:human_task:open"),
        ("finance-approver", "runs:human_task:complete"),
        (me, "runs:run:fault"),
        ("sales-owner", "runs:run:retry"),
        (me, "runs:run:complete"),
    ]


async def test_no_personal_data_lies_in_clear_in_a_table_or_in_the_log(
    platform: Platform, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    tasks = APPROVAL + SIMPLE + HTTP.format(name="book")
    await publish(platform, central("asks", tasks))

    async def credit(leaf):
        raise ValueError(CANARY)

    async with engine(platform, Leaves({"credit": credit})):
        run = await start(platform, "sales/asks")
        task = await open_task(platform, run.id)
        async with platform.work(FINANCE_APPROVER) as work:
            await disclosure.read_task_data(work, [task])
            await human_tasks.complete_task(
                work, task, outcome="approved", answer={"limit": 1, "note": CANARY}, reason=CANARY
            )
        await until(platform, run.id, "FAULTED")
        async with platform.work(SALES_OWNER) as work:
            await actions.retry_run(work, run.id, reason=f"for {CANARY}")
        await until(platform, run.id, "FAULTED")
    dumped = 0
    async with platform.database.session() as session:
        names = await session.scalars(
            text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        )
        for name in list(names):
            rows = await session.scalars(text(f'SELECT t::text FROM "{name}" AS t'))
            for row in rows:
                dumped += 1
                plain = row + _decoded(row)
                assert CANARY not in plain, name
                assert CANARY.split()[1] not in plain, name
    assert dumped > 30
    logged = "\n".join(record.getMessage() + str(record.exc_info) for record in caplog.records)
    assert CANARY not in logged


def _decoded(row: str) -> str:
    """What the hex forms of binary columns say."""
    parts = [part.split("\\x")[-1].strip('",)') for part in row.split(",") if "\\x" in part]
    return "".join(
        bytes.fromhex(part).decode("utf-8", "ignore") for part in parts if len(part) % 2 == 0
    )


async def test_an_internal_error_faults_the_run_and_it_can_be_retried(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    await publish(platform, central("asks", APPROVAL))
    broken = [True]
    apply = Machine.apply

    async def breaks(self, fact):
        if fact.kind == "TASK_ANSWERED" and broken:
            raise KeyError(CANARY)
        return await apply(self, fact)

    monkeypatch.setattr(Machine, "apply", breaks)
    async with engine(platform, Leaves()):
        run = await start(platform, "sales/asks")
        task = await open_task(platform, run.id)
        async with platform.work(FINANCE_APPROVER) as work:
            await human_tasks.complete_task(work, task, outcome="approved", answer={"limit": 1})
        faulted = await until(platform, run.id, "FAULTED")
        assert faulted.error is not None
        assert faulted.error.type.endswith("/runtime")
        broken.clear()
        async with platform.work(SALES_OWNER) as work:
            await actions.retry_run(work, run.id, reason="fixed")
        assert (await until(platform, run.id, "COMPLETED")).state == "COMPLETED"
