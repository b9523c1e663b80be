"""Running a definition in memory: the machine with stubs, a simulated clock, and no database.

`coe flow try`, `coe flow test` and the tests of templates and flows use it, and so do the machine's
own. Time passes only from one thing that is due to the next, so weeks take milliseconds.

Stubs answer what a run asks of the outside. They are data: an object with an answer, or a list of
answers for one call after the other (the last stands for all further calls), by the name of the
task or its JSON pointer (which is looked up first):

    checkCredit: {output: {limit: 5000}}              # a call, a local flow, a decision
    reserve: [{error: {type: …, status: 503}}, {output: {}}]
    approve: {outcome: approved, answer: {}, by: fiona, after: PT3H}   # a human task
    approve: {silent: true}                           # nobody answers: it escalates and expires

Every answer may have `after`, the time until it comes. Events are CloudEvents with an `after` that
counts from the start of the run: `- {after: PT1H, type: order.paid, source: erp, data: {…}}`.
"""

from __future__ import annotations

from coe.language.model.definition import Definition
from coe.machine.machine import EvaluateJq
from coe.testing.cases import Case, Trace
from coe.testing.simulation import Carry, Simulation

__all__ = ["Carry", "Case", "Trace", "simulate"]


async def simulate(
    definition: Definition, case: Case, evaluate: EvaluateJq, *, carry: Carry | None = None
) -> Trace:
    """Run a definition until it ends or waits for what nobody gives.

    Without `carry`, a call without a stub faults with `configuration` (400).
    """
    run = Simulation(definition, case, evaluate, carry)
    await run.go()
    return run.trace()
