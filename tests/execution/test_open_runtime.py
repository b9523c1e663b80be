"""A runtime with its real parts: what the network policy refuses is a fault, and is recorded."""

from __future__ import annotations

from sqlalchemy import select

from coe.access.models import PolicyRule
from coe.audit.models import AuditEvent
from coe.audit.queries import open_detail
from coe.audit.records import EVENT_COLUMNS
from coe.execution.advance import Finished, advance
from coe.execution.open_runtime import open_runtime
from coe.runs import disclosure
from coe.runs.models import RunState
from coe.work import Platform
from tests.factories.people import SALES_OWNER
from tests.factories.policies import sign_policy
from tests.factories.runs import central, publish, start
from tests.factories.sockets import hello, listening

CALL = """  - ask:
      call: http
      with: {{method: get, endpoint: "http://localhost:{port}/", output: raw}}
      timeout: {{after: PT1H}}
"""


async def test_an_address_that_is_refused_is_recorded_once(platform: Platform) -> None:
    await publish(platform, central("inwards", CALL.format(port=9)))
    run = await start(platform, "sales/inwards")
    async with open_runtime(platform) as runtime:
        assert await advance(runtime, run.id) == Finished(RunState.FAULTED)
        assert await advance(runtime, run.id) == Finished(RunState.FAULTED)
    async with platform.work(SALES_OWNER) as work:
        error = (await disclosure.read_run_data(work, [run.id]))[run.id].error
        rows = await work.session.execute(
            select(*EVENT_COLUMNS).where(AuditEvent.action == "runs:address:refuse")
        )
        [event] = rows.all()
        assert (event.outcome, event.team, event.actor) == ("DENIED", "sales", f"run:{run.id}")
        assert await open_detail(platform.keyring, event) == {
            "host": "localhost",
            "port": 9,
            "step": "/do/0/ask",
        }
    assert error.title == "Flows of sales may not reach localhost"
    assert (error.status, error.instance) == (403, "/do/0/ask")


async def test_a_line_of_the_policy_in_force_lets_the_next_call_through(platform: Platform) -> None:
    async with listening(hello) as port, open_runtime(platform) as runtime:
        await publish(platform, central("inwards", CALL.format(port=port)))
        refused = await start(platform, "sales/inwards")
        assert await advance(runtime, refused.id) == Finished(RunState.FAULTED)
        async with platform.database.session() as session:
            for network in ("127.0.0.0/8", "::1/128"):
                fields = ["sales", "localhost", network, str(port)]
                session.add(PolicyRule(ptype="n", fields=fields, source="test", origin="test"))
            await session.flush()
            await sign_policy(session)
            await session.commit()
        run = await start(platform, "sales/inwards")
        ended = await advance(runtime, run.id)
    async with platform.work(SALES_OWNER) as work:
        data = (await disclosure.read_run_data(work, [run.id]))[run.id]
    assert ended == Finished(RunState.COMPLETED), data.error
    assert data.output == "aGVsbG8="
