"""Run a definition in memory: the machine with stubs, a simulated clock, and no database.

`coe flow try`, `coe flow test`, and the tests of templates, flows and the machine use it. The clock
jumps from one due time to the next, so weeks take milliseconds.

Stubs answer the calls of a run. A stub is an object with an answer, or a list of answers for one
call after the other (the last stands for all further calls), by the name of the task or by its JSON
pointer, which takes precedence:

    checkCredit: {output: {limit: 5000}}              # a call, a local flow, a decision
    reserve: [{error: {type: …, status: 503}}, {output: {}}]
    approve: {outcome: approved, answer: {}, by: fiona, after: PT3H}   # a human task
    approve: {silent: true}                           # nobody answers: it escalates and expires

Every answer may have `after`, the time until it arrives. Events are CloudEvents with an `after`
that counts from the start of the run: `- {after: PT1H, type: order.paid, source: erp, data: {…}}`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from coe.language.model.definition import Definition
from coe.machine.machine import EvaluateJq
from coe.testing.cases import SimulationCase, Trace
from coe.testing.simulation import LeafRunner, Simulation

__all__ = ["LeafRunner", "SimulationCase", "Trace", "simulate"]


@runtime_checkable
class ResolvesRefs(Protocol):
    """A runner of leaves that resolves the refs of a definition."""

    def exact_refs(self, definition: Definition) -> Mapping[str, str]:
        """The exact refs of a run of the definition, by the refs as written."""
        ...


async def simulate(
    definition: Definition,
    case: SimulationCase,
    evaluate: EvaluateJq,
    *,
    runner: LeafRunner | None = None,
    exact: Mapping[str, str] | None = None,
) -> Trace:
    """Run a definition until it ends, or waits for something that never arrives.

    `runner` carries out calls that have no stub. A call that nothing answers is not made: the step
    waits, and `Trace.missing` has a stub for it. A runner that resolves refs does so first, as a
    run does when it starts; `exact` has them for another runner, by the refs as written.
    """
    if exact is None and isinstance(runner, ResolvesRefs):
        exact = runner.exact_refs(definition)
    run = Simulation(definition, case, evaluate, runner, exact or {})
    await run.go()
    return run.trace()
