"""What a verification finds: one problem for each thing that is not as it was sealed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from coe.errors import Problem, Severity, errors_in

MAX_FINDINGS: Final = 1000
"""Problems that a verification lists; of more it gives the number."""


class FindingCode(StrEnum):
    """What was done to the log; the value is the code of the problem."""

    ROW_CHANGED = "AUDIT_ROW_CHANGED"
    ROW_MISSING = "AUDIT_ROW_MISSING"
    ROW_INSERTED = "AUDIT_ROW_INSERTED"
    NODE_CHANGED = "AUDIT_NODE_CHANGED"
    NODE_MISSING = "AUDIT_NODE_MISSING"
    NODE_INSERTED = "AUDIT_NODE_INSERTED"
    CHECKPOINT_CHANGED = "AUDIT_CHECKPOINT_CHANGED"
    CHECKPOINT_MISSING = "AUDIT_CHECKPOINT_MISSING"
    TREE_CHANGED = "AUDIT_TREE_CHANGED"
    BUNDLE_CHANGED = "AUDIT_BUNDLE_CHANGED"


class Findings:
    """The problems found so far, each once, at most `MAX_FINDINGS` of them kept."""

    def __init__(self) -> None:
        """Begin with none."""
        self._problems: dict[Problem, None] = {}
        self._more = 0

    def add(self, *problems: Problem) -> None:
        """Add the problems that are not there yet."""
        for problem in problems:
            if problem in self._problems:
                continue
            if len(self._problems) < MAX_FINDINGS:
                self._problems[problem] = None
            else:
                self._more += 1

    def list(self) -> tuple[Problem, ...]:
        """The problems in the order in which they were found."""
        rest = [Problem(FindingCode.TREE_CHANGED, f"and {self._more} more problems")]
        return (*self._problems, *(rest if self._more else ()))


@dataclass(frozen=True, slots=True)
class Verification:
    """What was verified, and what is wrong with it; `key` is the verification key that was used."""

    checked_events: int
    tree_size: int
    root_hash: bytes
    key: str
    problems: tuple[Problem, ...]

    @property
    def ok(self) -> bool:
        """Whether every event is as it was sealed, and none is missing or too many."""
        return not errors_in(self.problems)


def row_changed(position: int, name: str, how: str, *, line: int | None = None) -> Problem:
    """An event is not what was sealed."""
    message = f"event {name} at position {position}: {how}"
    return Problem(FindingCode.ROW_CHANGED, message, path=f"/events/{position}", line=line)


def rows_missing(first: int, last: int, *, line: int | None = None) -> Problem:
    """Events that were sealed are not there."""
    which = (
        f"the event at position {first} is"
        if first == last
        else (f"the events at positions {first} to {last} are")
    )
    message = f"{which} missing"
    return Problem(FindingCode.ROW_MISSING, message, path=f"/events/{first}", line=line)


def row_inserted(position: int | None, name: str, how: str) -> Problem:
    """A row stands in the log that was not sealed there."""
    return Problem(FindingCode.ROW_INSERTED, f"event {name}: {how}", path=f"/events/{position}")


def node_finding(fault: FindingCode, level: int, offset: int, how: str) -> Problem:
    """A stored node of the tree is not as it was."""
    first, last = offset << level, (offset + 1 << level) - 1
    message = f"the tree node of level {level} over the events {first} to {last} {how}"
    return Problem(fault, message, path=f"/nodes/{level}/{offset}")


def checkpoint_finding(
    fault: FindingCode, size: int, how: str, *, line: int | None = None
) -> Problem:
    """A checkpoint is not as it was signed."""
    return Problem(
        fault, f"checkpoint of {size} events: {how}", path=f"/checkpoints/{size}", line=line
    )


def later_checkpoint(size: int) -> Problem:
    """The log went on after the bundle was made: no fault, and nothing that it could prove."""
    message = f"the checkpoint file has a later checkpoint, of {size} events"
    return Problem(FindingCode.CHECKPOINT_MISSING, message, Severity.INFO, f"/checkpoints/{size}")


def tree_changed(first: int, last: int, how: str) -> Problem:
    """Events do not lead to what was signed, and no single one can be blamed."""
    message = f"the events at positions {first} to {last}: {how}"
    return Problem(FindingCode.TREE_CHANGED, message, path=f"/events/{first}")
