"""The checkpoints of the file, as a verification reads them in step with the tree."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from coe.audit.checkpoint import AcceptedLoss, Checkpoint
from coe.audit.checkpoint_file import CheckpointFile
from coe.audit.findings import MAX_KEPT_FINDINGS, FindingCode, Findings, checkpoint_finding
from coe.audit.losses import is_lost
from coe.crypto.signing import NoteRefused, VerifyKey


class FileCheckpoints:
    """The checkpoints of the file, read in step with the tree.

    The file is read after the bounds of the log: it may have newer checkpoints than the rows read,
    and lacks at most the newest of theirs, if the sealer has not appended it yet.
    """

    def __init__(
        self,
        path: Path | None,
        key: VerifyKey,
        findings: Findings,
        losses: tuple[AcceptedLoss, ...] = (),
    ) -> None:
        self._findings = findings
        self._key = key
        self._losses = losses
        until = CheckpointFile(path).size() if path else 0
        self._given = path is not None
        self._absent = path is not None and not path.exists()
        self._rest = self._open(path, until) if path and not self._absent else iter(())
        self._next = next(self._rest, None)
        self._lacking: list[int] = []

    def of(self, size: int) -> Iterator[Checkpoint]:
        """The checkpoints of this tree size."""
        while self._next and self._next.tree_size <= size:
            if self._next.tree_size == size:
                yield self._next
            self._next = next(self._rest, None)

    def lack(self, size: int) -> None:
        """Note that the file does not have a checkpoint that the database has."""
        if len(self._lacking) <= MAX_KEPT_FINDINGS:
            self._lacking.append(size)

    def finish(self, size: int, newest: int) -> None:
        """Report what the file lacks, and what only the file has; `newest` is that of the log."""
        if self._absent and size:
            self._missing(size, "the checkpoint file is missing")
        elif self._given:
            for lacking in self._lacking:
                if lacking != size:
                    self._missing(lacking, "the database has it, and the file does not")
        while self._next:
            if self._next.tree_size > newest:
                how = f"the file has it, and the log has {newest} events: events were removed"
                self._missing(self._next.tree_size, how)
            self._next = next(self._rest, None)

    def _missing(self, size: int, how: str) -> None:
        self._findings.add(checkpoint_finding(FindingCode.CHECKPOINT_MISSING, size, how))

    def _open(self, path: Path, until: int) -> Iterator[Checkpoint]:
        last = (0, 0)
        for line, note in enumerate(CheckpointFile(path).notes(until), start=1):
            try:
                checkpoint = Checkpoint.open(note or "", self._key)
            except NoteRefused as refused:
                self._add(last[1], f"line {line} of the file: {refused.message}", line)
                continue
            if checkpoint.place <= last:
                self._add(checkpoint.tree_size, f"line {line} of the file is out of order", line)
                continue
            last = checkpoint.place
            if checkpoint.lost_by(self._losses) is None:
                yield checkpoint
            elif is_lost(checkpoint, last, self._losses):
                how = "the file has it, and it is more than was accepted as lost"
                self._add(checkpoint.tree_size, how, line, FindingCode.CHECKPOINT_MISSING)

    def _add(
        self,
        size: int,
        how: str,
        line: int,
        fault: FindingCode = FindingCode.CHECKPOINT_CHANGED,
    ) -> None:
        self._findings.add(checkpoint_finding(fault, size, how, line=line))
