"""The machine: a definition and a journal in, commands out. It does no I/O.

It has no clock and no randomness: times come with the facts, a choice of delay is a fact. Facts are
applied one at a time in journal order, and each is carried to quiescence before the next, so the
same facts give the same commands in every process.

    machine = Machine(definition, RunContext(id=…), evaluate)
    commands = await machine.apply(fact)   # what this fact newly asks for, in order
    machine.pending()                      # list[Pending]: all that is wanted and not answered
    machine.changed_steps()                # list[StepChange] since the last call
    machine.outcome                        # Completed | Faulted | Cancelled | None
    machine.event_types                    # frozenset[str] | None: CloudEvent types ever wanted
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from coe.db import JSON

Evaluate = Callable[[str, Mapping[str, JSON], JSON], Awaitable[JSON]]
"""`await evaluate(program, variables, input)`: run a jq program; raises `ExpressionError`."""


@dataclass(frozen=True, slots=True)
class RunContext:
    """What is the same for the whole run.

    `id` is the run's, `correlation_id` what it and its children are found by. `secrets` are read
    anew in every process and never journaled. `max_visits` is how often a task may be entered from
    one place before it faults.
    """

    id: str
    correlation_id: str = ""
    secrets: Mapping[str, JSON] = field(default_factory=dict, repr=False)
    max_visits: int = 10_000
