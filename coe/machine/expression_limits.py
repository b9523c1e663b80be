"""Expressions that exceed their limits: decided by a clock, and so a fact of the journal.

Whether an expression exceeds its limit of time or memory depends on the load of the host. A journal
without this information could be replayed to a different run. So an evaluation that exceeds a limit
is tried again. If it does so every time, it fails as the language says, and EXPRESSION_LIMITED,
journaled before the fact that caused it, makes it fail in every replay.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from coe.json_types import JSON
from coe.language.expressions.evaluator import ExpressionError, Reason
from coe.machine.facts import Fact, FactKind
from coe.machine.fibers import EvaluateJq

# Attempts of an evaluation before it counts as too slow, or as too large.
MAX_EVALUATIONS: Final = 3
_LIMITS: Final = {Reason.TIME.name: Reason.TIME, Reason.DIED.name: Reason.DIED}


class ExpressionLimits:
    """Counts the evaluations that a fact causes, from 1, and records those that exceed a limit."""

    def __init__(self, evaluate: EvaluateJq) -> None:
        self._evaluate = evaluate
        self._foreseen: dict[int, Reason] = {}
        self._number: int  # both are set anew for each fact
        self._exceeded: dict[int, Reason]

    def foresee(self, data: JSON) -> None:
        """Note from the journal that an evaluation of the next fact exceeds a limit.

        Raises:
            ValueError: the fact does not name the evaluation and the limit.
        """
        given = data if isinstance(data, dict) else {}
        number, reason = given.get("evaluation"), _LIMITS.get(str(given.get("reason")))
        if not isinstance(number, int) or reason is None:
            raise ValueError("EXPRESSION_LIMITED needs the number of an evaluation and its limit")
        self._foreseen[number] = reason

    def begin(self) -> None:
        """Start counting for a new fact."""
        self._number = 0
        self._exceeded = {}

    def end(self) -> None:
        """Forget what was noted for the fact that was applied."""
        self._foreseen = {}

    def facts(self, at: datetime) -> list[Fact]:
        """The facts that the journal needs before the fact that was applied last."""
        return [
            Fact(
                FactKind.EXPRESSION_LIMITED,
                at,
                data={"evaluation": number, "reason": reason.name},
            )
            for number, reason in self._exceeded.items()
        ]

    async def evaluate(self, program: str, variables: Mapping[str, JSON], data: JSON) -> JSON:
        """Evaluate an expression.

        Raises:
            ExpressionError: it failed, or exceeded a limit, now or according to the journal.
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
                if tries == MAX_EVALUATIONS:
                    self._exceeded[number] = error.reason
                    raise
