"""The findings of a verification: one problem for each difference from what was sealed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from coe.audit.canonical import format_instant
from coe.audit.checkpoint import AcceptedLoss
from coe.audit.sinks.state import SinkState
from coe.audit.watch import SealingState
from coe.errors import Problem, Severity, errors_in

MAX_KEPT_FINDINGS: Final = 1000
"""The most problems that a verification lists; it counts the rest."""


class FindingCode(StrEnum):
    """What was changed in the log; the value is the problem's code."""

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
    ROW_REFUSED = "AUDIT_ROW_REFUSED"
    SEALING_LATE = "AUDIT_SEALING_LATE"
    LOSS_ACCEPTED = "AUDIT_LOSS_ACCEPTED"
    LOSS_CHANGED = "AUDIT_LOSS_CHANGED"


class Findings:
    """The problems found so far, each once, at most `MAX_KEPT_FINDINGS` of them kept."""

    def __init__(self) -> None:
        self._problems: dict[Problem, None] = {}
        self._more = 0

    def add(self, *problems: Problem) -> None:
        """Add problems that are not listed yet."""
        for problem in problems:
            if problem in self._problems:
                continue
            if len(self._problems) < MAX_KEPT_FINDINGS:
                self._problems[problem] = None
            else:
                self._more += 1

    def list(self) -> tuple[Problem, ...]:
        """The problems in the order of their discovery."""
        rest = [Problem(FindingCode.TREE_CHANGED, f"and {self._more} more problems")]
        return (*self._problems, *(rest if self._more else ()))


@dataclass(frozen=True, slots=True)
class Verification:
    """The result of a verification; `key` is the verification key that was used.

    `sealing` is what waits to be sealed, and `sinks` are the places that keep checkpoints, in a
    verification of the database.
    """

    checked_events: int
    tree_size: int
    root_hash: bytes
    key: str
    problems: tuple[Problem, ...]
    sealing: SealingState | None = None
    sinks: tuple[SinkState, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether every event is as it was sealed, none is missing, and none was added."""
        return not errors_in(self.problems)


def row_changed(position: int, name: str, how: str, *, line: int | None = None) -> Problem:
    """An event differs from what was sealed."""
    message = f"event {name} at position {position}: {how}"
    return Problem(FindingCode.ROW_CHANGED, message, path=f"/events/{position}", line=line)


def rows_missing(first: int, last: int, *, line: int | None = None) -> Problem:
    """Sealed events are missing."""
    which = (
        f"the event at position {first} is"
        if first == last
        else (f"the events at positions {first} to {last} are")
    )
    message = f"{which} missing"
    return Problem(FindingCode.ROW_MISSING, message, path=f"/events/{first}", line=line)


def row_inserted(position: int | None, name: str, how: str) -> Problem:
    """The log has a row that was not sealed there."""
    return Problem(FindingCode.ROW_INSERTED, f"event {name}: {how}", path=f"/events/{position}")


def row_refused(name: str, how: str, *, settled: bool = False) -> Problem:
    """A row of the table is no event of the log, or was set aside although it is one.

    One that somebody has settled is mentioned, and is no error.
    """
    message = f"the row {name} is not sealed: {how}" + ("; it is settled" if settled else "")
    severity = Severity.INFO if settled else Severity.ERROR
    return Problem(FindingCode.ROW_REFUSED, message, severity, f"/refused/{name}")


def sealing_late(state: SealingState, holder: str | None) -> Problem:
    """Events wait too long for their seal: until then nothing proves them."""
    why = f"; the oldest transaction that writes is that of {holder}" if holder else ""
    message = (
        f"{state.waiting} events are not sealed, the oldest since {state.seconds:.0f} seconds{why}"
    )
    return Problem(FindingCode.SEALING_LATE, message, path="/sealing")


def node_finding(fault: FindingCode, level: int, offset: int, how: str) -> Problem:
    """A stored node of the tree was changed."""
    first, last = offset << level, (offset + 1 << level) - 1
    message = f"the tree node of level {level} over the events {first} to {last} {how}"
    return Problem(fault, message, path=f"/nodes/{level}/{offset}")


def checkpoint_finding(
    fault: FindingCode, size: int, how: str, *, line: int | None = None
) -> Problem:
    """A checkpoint differs from what was signed."""
    return Problem(
        fault, f"checkpoint of {size} events: {how}", path=f"/checkpoints/{size}", line=line
    )


def loss_accepted(loss: AcceptedLoss, *, where: str = "") -> Problem:
    """Sealed events are gone for good, and two people have accepted that: shown, and no error."""
    message = (
        f"{loss.positions} of an earlier epoch are lost{where}: accepted on "
        f"{format_instant(loss.at)}, proposed by {loss.proposed_by} and approved by "
        f"{loss.approved_by}; the log goes on from {loss.kept_size} events"
    )
    path = f"/losses/{loss.kept_size}"
    return Problem(FindingCode.LOSS_ACCEPTED, message, Severity.WARNING, path)


def loss_changed(loss: AcceptedLoss, how: str) -> Problem:
    """An accepted loss is not what the log shows."""
    path = f"/losses/{loss.kept_size}"
    return Problem(FindingCode.LOSS_CHANGED, f"the loss of {loss.positions}: {how}", path=path)


def later_checkpoint(size: int) -> Problem:
    """The log continued after the bundle was made, which is no error."""
    message = f"the checkpoint file has a later checkpoint, of {size} events"
    return Problem(FindingCode.CHECKPOINT_MISSING, message, Severity.INFO, f"/checkpoints/{size}")


def file_elsewhere() -> Problem:
    """The log was compared with no file, as the process that seals it has that elsewhere."""
    message = (
        "this process does not seal, and has no checkpoint file: the log was compared with the "
        "checkpoints of the database alone; `coe restore verify` compares it with the file and the "
        "sinks, on the machine that seals"
    )
    return Problem(FindingCode.CHECKPOINT_MISSING, message, Severity.INFO, "/checkpoints")


def tree_changed(first: int, last: int, how: str) -> Problem:
    """A range of events does not lead to a signed root, and no single event is known to differ."""
    message = f"the events at positions {first} to {last}: {how}"
    return Problem(FindingCode.TREE_CHANGED, message, path=f"/events/{first}")
