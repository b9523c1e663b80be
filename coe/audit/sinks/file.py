"""A second file of checkpoints, such as on another machine's disk that is mounted here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from coe.audit.checkpoint import Checkpoint
from coe.audit.checkpoint_file import CheckpointFile, note_of
from coe.audit.sinks.sink import Prove, SinkFailed
from coe.audit.threads import in_thread


@dataclass(slots=True)
class FileSink:
    """A file to which checkpoints are appended; its folder has to be there."""

    name: str
    path: Path
    kind: str = "file"
    readable: bool = True
    proves: bool = False
    every: float = 0.0

    async def newest(self) -> str | None:
        """The note of its last line."""
        self._require_folder()
        try:
            line = await in_thread(CheckpointFile(self.path).last_line)
        except OSError as error:
            raise SinkFailed(f"{self.path}: {error.strerror}") from None
        return None if line is None else note_of(line) or ""

    async def keep(self, checkpoint: Checkpoint, since: Checkpoint | None, prove: Prove) -> None:  # noqa: ARG002  # as every sink
        """Append the checkpoint."""
        self._require_folder()
        try:
            await in_thread(CheckpointFile(self.path).append, [checkpoint.note])
        except OSError as error:
            raise SinkFailed(f"{self.path}: {error.strerror}") from None

    def _require_folder(self) -> None:
        if not self.path.parent.is_dir():  # as while a disk is not mounted
            raise SinkFailed(f"the folder {self.path.parent} is missing")
