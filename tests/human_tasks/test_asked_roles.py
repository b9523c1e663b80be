"""A task that asks whom an expression names: what does not exist faults it, and its tests."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from coe.access.policy import Policy
from coe.access.policy_store import PolicyStore
from coe.catalog.names import asked_names
from coe.execution.advance import Finished, Parked, advance
from coe.execution.runtime import Runtime
from coe.json_types import JSON
from coe.language.expressions.evaluator import Expressions
from coe.language.load import load
from coe.runs import queries
from coe.testing.cases import SimulationCase
from coe.testing.run_definition import simulate
from tests.factories.human_tasks import running
from tests.factories.people import SALES_OWNER
from tests.factories.policies import sign_policy
from tests.factories.runs import central, publish, start

__all__ = ["running"]

ASK = """  - ask:
      call: humanTask:1@default
      with:
        title: Who?
        candidates: {roles: ['${ .customer | split(" ")[0] }']}
        escalate: [{after: PT1H, to: '${ .customer | split(" ")[1] }'}]
"""
CASES = {
    "a role that does not exist": ("leed", "lead", "role leed"),
    "a role of no team": ("salez/lead", "lead", "team salez"),
    "an escalation to nobody": ("lead", "nosuch", "role nosuch"),
    "a role of every team": ("*/lead", "finance/lead", None),
    "a role that nobody of the team holds": ("finance-approver", "lead", None),
    "a role that nobody holds any more": ("lead", "finance/finance-approver", None),
    "a role of a retired team": ("warehouse/lead", "lead", "team warehouse"),
}
NOW = {
    "a role that nobody holds any more": "UPDATE memberships SET roles = "
    "array_remove(roles, 'finance-approver')",
    "a role of a retired team": "UPDATE teams SET state = 'RETIRED' WHERE slug = 'warehouse'",
}


@pytest.mark.parametrize("name", CASES)
async def test_who_does_not_exist_is_not_waited_for(running: Runtime, name: str) -> None:
    role, later, missing = CASES[name]
    given: JSON = {"customer": f"{role} {later}"}
    manifest = central("asks", ASK)
    await publish(running.platform, manifest)
    if name in NOW:
        async with running.platform.database.session() as session:
            await session.execute(text(NOW[name]))
            await sign_policy(session)
            await session.commit()
    run = await start(running.platform, "sales/asks", given)
    result = await advance(running, run.id)
    async with running.platform.read(SALES_OWNER) as read:
        [found] = (await queries.runs_by_id(read, [run.id])).values()
        names = await asked_names(read)
    async with Expressions(workers=1) as expressions:
        case = SimulationCase(input=given, names=names)
        trace = await simulate(load(manifest).definition, case, expressions.evaluate)
    if missing is None:
        assert isinstance(result, Parked)
        assert trace.state == "WAITING"
        return
    assert isinstance(result, Finished)
    assert found.error is not None
    assert found.error.reason == "The task asks a role that does not exist."
    assert trace.outcome.error["detail"] == f"there is no {missing}, so nobody could answer"
    assert trace.outcome.error["type"].endswith("/configuration")


async def test_without_a_policy_in_force_nobody_is_refused(
    running: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A platform that refuses everything for now knows no roles; the task waits as any other."""
    await publish(running.platform, central("asks", ASK))
    run = await start(running.platform, "sales/asks", {"customer": "lead lead"})

    async def none(*_: object, **__: object) -> Policy:
        return Policy()

    monkeypatch.setattr(PolicyStore, "current", none)
    assert isinstance(await advance(running, run.id), Parked)
