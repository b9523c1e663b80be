"""Expressions that exceed their limits: a decision of the clock, and so a fact of the journal.

Whether an expression has its value in time depends on what else the machine does, and so does what
it may take of memory. A journal that did not say it could be folded to another run. So an
evaluation that exceeds a limit is tried again; one that does so every time fails as the language
says, and EXPRESSION_LIMITED, journaled before the fact that led to it, makes it fail ever after.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from coe.json_types import JSON
from coe.language.expressions.evaluator import ExpressionError, Reason
from coe.machine.facts import Fact, FactKind
from coe.machine.fibers import EvaluateJq

# How often an evaluation is tried before it counts as too slow, or as too large.
MAX_TRIES: Final = 3
_LIMITS: Final = {Reason.TIME.name: Reason.TIME, Reason.DIED.name: Reason.DIED}


class ExpressionLimits:
    """The evaluations that follow from one fact, counted from 1, and those that exceed a limit."""

    def __init__(self, evaluate: EvaluateJq) -> None:
        """Take the evaluator whose limits these are."""
        self._evaluate = evaluate
        self._foreseen: dict[int, Reason] = {}
        self._number: int  # they are made anew for each fact
        self._exceeded: dict[int, Reason]

    def foresee(self, data: JSON) -> None:
        """Take from the journal that an evaluation of the next fact exceeded a limit.

        Raises:
            ValueError: the journal does not say which, or why.
        """
        given = data if isinstance(data, dict) else {}
        number, reason = given.get("evaluation"), _LIMITS.get(str(given.get("reason")))
        if not isinstance(number, int) or reason is None:
            raise ValueError("which evaluation exceeded which limit?")
        self._foreseen[number] = reason

    def begin(self) -> None:
        """Count anew: a fact is applied."""
        self._number = 0
        self._exceeded = {}

    def end(self) -> None:
        """What was foreseen has come."""
        self._foreseen = {}

    def facts(self, at: datetime) -> list[Fact]:
        """What the journal must say before the fact that was applied last."""
        return [
            Fact(
                FactKind.EXPRESSION_LIMITED,
                at,
                data={"evaluation": number, "reason": reason.name},
            )
            for number, reason in self._exceeded.items()
        ]

    async def evaluate(self, program: str, variables: Mapping[str, JSON], data: JSON) -> JSON:
        """The value of an expression.

        Raises:
            ExpressionError: it has none; or exceeded a limit, now or when it was journaled.
        """
        self._number += 1
        number = self._number
        if number in self._foreseen:
            raise ExpressionError(program, self._foreseen[number])
        tries = 0
        while True:
            tries += 1
            try:
                return await self._evaluate(program, variables, data)
            except ExpressionError as error:
                if error.reason not in _LIMITS.values():
                    raise
                if tries == MAX_TRIES:
                    self._exceeded[number] = error.reason
                    raise
