"""What the trace of a simulated run tells beside its outcome."""

from __future__ import annotations

from coe.language.expressions.evaluator import Expressions
from coe.testing.cases import SimulationCase
from coe.testing.run_definition import simulate
from tests.machine.scenarios import definition


async def test_events_that_could_not_be_compared_are_in_the_trace() -> None:
    filter_ = {"with": {"type": "t"}, "correlate": {"order": {"from": ".data.order"}}}
    flow = definition({"do": [{"receive": {"listen": {"to": {"one": filter_}}}}]})
    events = [
        {"type": "t", "source": "s", "id": "poison", "data": "text"},
        {"type": "t", "source": "s", "id": "right", "data": {"order": 1}},
    ]
    async with Expressions(workers=1) as expressions:
        trace = await simulate(flow, SimulationCase(events=events), expressions.evaluate)
    path = "/do/0/receive/listen/to/one/correlate/order/from"
    assert trace.to_json()["unmatched"] == [{"event": "poison", "path": path}]
    assert trace.output == [{"order": 1}]
