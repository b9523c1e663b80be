"""Four eyes on one answer: several people approve a human task only if all give the same answer.

The platform and the simulation decide with the same rule. An answer is its outcome with its data;
its digest tells it from every other. An approval of another answer starts over: the approvals
before it are void. Any outcome but the first one decides at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from coe.json_types import JSON
from coe.language.canonical import digest


@dataclass(frozen=True, slots=True)
class GivenAnswer:
    """An answer that a person gave at a time (ISO 8601), by its digest."""

    by: str
    at: str
    digest: str

    def to_json(self) -> dict[str, JSON]:
        """An item of `approvals` of the fact TASK_ANSWERED."""
        return {"by": self.by, "at": self.at, "digest": self.digest}


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far a task is after an answer: the approvals that count, and whether it is decided."""

    approvals: tuple[GivenAnswer, ...]
    void: tuple[GivenAnswer, ...]
    decided: bool


def answer_digest(outcome: str, answer: JSON) -> str:
    """The SHA-256 (hex) of the canonical JSON of an answer."""
    return digest({"outcome": outcome, "answer": answer})


def agree(
    standing: Sequence[GivenAnswer], given: GivenAnswer, *, needed: int, first_outcome: bool
) -> Agreement:
    """Add an answer to the approvals that count so far.

    Args:
        standing: The approvals that count so far, of different people.
        given: The new answer.
        needed: How many people must give the same answer.
        first_outcome: Whether the answer has the first outcome of the task; others decide at once.
    """
    if not first_outcome:
        return Agreement((given,), (), decided=True)
    same = tuple(each for each in standing if each.digest == given.digest)
    others = tuple(each for each in standing if each.digest != given.digest)
    approvals = (*same, given)
    people = {each.by for each in approvals}
    return Agreement(approvals, others, decided=len(people) >= needed)
