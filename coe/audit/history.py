"""What was signed before, and whether the database continues it.

Three places know the highest checkpoint: the memory of a sealer, the file of the highest signed one
(`coe.audit.signed_file`) and the checkpoint file. A checkpoint that is smaller than one of them, or
different from one of the same size, is never signed: neither by another process nor after a
restart, and not when the database was cut back.

A seal writes the signed file, commits to the database, and appends to the checkpoint file. So a
crash leaves one of two states, which the next sealer completes, and only these:

- the signed file is one checkpoint ahead of the database, and its events still wait there;
- the checkpoint file lacks exactly the newest checkpoint.

Everything else was done by somebody: the log is broken, and nothing is sealed until somebody has
verified it. After a loss that two people have accepted (`coe.audit.losses`) it goes on in a new
epoch: what was signed beyond it before counts no more.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from coe.audit.checkpoint import AcceptedLoss, Checkpoint
from coe.audit.checkpoint_file import CheckpointFile, note_of
from coe.audit.losses import Loss, find_loss
from coe.audit.signed_file import Signed, SignedFile
from coe.audit.threads import in_thread
from coe.audit.tree import TreeDamaged, root_at
from coe.crypto.signing import NoteRefused, VerifyKey
from coe.errors import CoeError

_LATER: Final = text("""
    SELECT count(*) FROM (SELECT 1 FROM audit_checkpoints WHERE tree_size > :size LIMIT 9) AS later
""")


class LogBroken(CoeError):
    """The audit log does not continue what was signed before: nothing is sealed; verify the log."""


class LossFound(LogBroken):
    """Sealed events are gone: nothing is sealed until two people have accepted the loss."""

    def __init__(self, loss: Loss, place: str) -> None:
        self.loss = loss
        super().__init__(
            f"{place} has a checkpoint of {loss.lost.tree_size} events, and the database of "
            f"{loss.kept_size}: it was restored from an older backup, or events were removed. "
            "Restore the newer state. If there is none, `coe restore verify` shows what is lost, "
            "and with which command two people accept that"
        )


class SignedHistory:
    """What was signed with one key, by the files of one sealer and by its own memory.

    `elsewhere` are checkpoints that others keep, by the names of their places.
    """

    def __init__(self, checkpoint_file: Path, key: VerifyKey) -> None:
        self.elsewhere: dict[str, Checkpoint] = {}
        self._file = CheckpointFile(checkpoint_file)
        self._signed = SignedFile(checkpoint_file)
        self._key = key
        self._highest: Checkpoint | None = None
        self._published: Checkpoint | None = None

    def locked(self) -> AbstractContextManager[bool]:
        """Hold the files alone, also among processes of other databases; False if another does."""
        return self._signed.locked()

    def opened(self, note: str | None) -> Checkpoint:
        """The checkpoint of a note.

        Raises:
            LogBroken: It was changed, or another key signed it.
        """
        try:
            return Checkpoint.open(note or "", self._key)
        except NoteRefused as refused:
            message = f"a checkpoint was changed, or another key signed it: {refused.message}"
            raise LogBroken(message) from refused

    async def check(
        self,
        session: AsyncSession,
        newest: Checkpoint | None,
        accepted: tuple[AcceptedLoss, ...] = (),
    ) -> Signed | None:
        """Check that the database continues what was signed; `newest` is its newest checkpoint.

        Args:
            session: The database.
            newest: Its newest checkpoint.
            accepted: All losses of the log, if the newest was accepted and is in no checkpoint yet.

        Returns:
            What was signed and is not in the database yet: the next seal has to complete it.

        Raises:
            LossFound: Sealed events are gone.
            LogBroken: It does not continue for another reason.
        """
        signed, line = await in_thread(self._read)
        last = self.opened(note_of(line)) if line is not None else None
        claimed = self.opened(signed.note) if signed else None
        newest = self.opened(newest.note) if newest else None
        known = [accepted, *(each.losses for each in (newest, claimed) if each)]
        losses = max(known, key=len)
        continued = claimed if claimed and not claimed.lost_by(losses) else None
        unfinished = _is_next(signed, continued, newest)
        self._check_loss(newest, last, None if unfinished else claimed, losses)
        await self._check_file(session, last, newest, losses)
        self._published = last
        highest = continued or newest
        self._check_memory(highest, losses)
        if highest is None:
            return None
        if newest and newest.place > highest.place:
            message = (
                f"the database has a checkpoint of {newest.tree_size} events, and "
                f"{self._signed.path} of {highest.tree_size}: another sealer has other files, or "
                "they are of a backup"
            )
            raise LogBroken(message)
        if newest and newest.place == highest.place and newest.note != highest.note:
            raise LogBroken(f"two checkpoints of {newest.tree_size} events were signed")
        if signed is None:  # files of an earlier release
            await self.will_sign(highest, ())
        self._highest = highest
        return signed if unfinished else None

    def lost(self, newest: Checkpoint | None, signed: Signed) -> LossFound:
        """The error of a database that lacks the events of the checkpoint that was signed last."""
        return LossFound(Loss(newest, self.opened(signed.note)), str(self._signed.path))

    async def will_sign(self, checkpoint: Checkpoint, events: Sequence[UUID]) -> None:
        """Remember the checkpoint, on disk too, before the database commits it."""
        await in_thread(self._signed.write, checkpoint.note, events)
        self._highest = checkpoint

    async def publish(self, checkpoint: Checkpoint) -> None:
        """Append to the checkpoint file what the database has committed; again changes nothing."""
        if checkpoint != self._published:
            await in_thread(self._file.append, [checkpoint.note])
            self._published = checkpoint

    def _read(self) -> tuple[Signed | None, bytes | None]:
        return self._signed.read(), self._file.last_line()

    def _check_loss(
        self,
        newest: Checkpoint | None,
        last: Checkpoint | None,
        claimed: Checkpoint | None,
        losses: tuple[AcceptedLoss, ...],
    ) -> None:
        places = {f"the sink {name}": each for name, each in self.elsewhere.items()}
        places |= {str(self._signed.path): claimed} if claimed else {}
        places |= {str(self._file.path): last} if last else {}
        loss = find_loss(newest, places.values(), losses)
        if loss is not None:
            found = {each.note: name for name, each in places.items()}
            raise LossFound(loss, found[loss.lost.note])

    def _check_memory(self, highest: Checkpoint | None, losses: tuple[AcceptedLoss, ...]) -> None:
        mine = self._highest
        if mine is None or mine.lost_by(losses):
            return
        if highest is None or highest.place < mine.place:
            message = f"{self._signed.path} was cut or emptied while this process ran"
            raise LogBroken(message)
        if highest.place == mine.place and highest.note != mine.note:
            raise LogBroken(f"two checkpoints of {mine.tree_size} events were signed")

    async def _check_file(
        self,
        session: AsyncSession,
        last: Checkpoint | None,
        newest: Checkpoint | None,
        losses: tuple[AcceptedLoss, ...],
    ) -> None:
        """Check that the file has every checkpoint, or every one but the newest."""
        if last is not None and newest and last.place == newest.place:
            if last.note != newest.note:
                raise LogBroken(f"two checkpoints of {newest.tree_size} events were signed")
            return
        loss = last.lost_by(losses) if last else None
        reaches = loss.kept_size if loss else last.tree_size if last else 0
        lacking = await session.scalar(_LATER, {"size": reaches})
        if lacking is not None and lacking > 1:
            how = "is missing or empty" if last is None else f"lacks {lacking} checkpoints"
            message = (
                f"{self._file.path} {how}: restore it, also from a copy that somebody else keeps"
            )
            raise LogBroken(message)
        if last and not loss and await self._root(session, last.tree_size) != last.root_hash:
            raise LogBroken(f"the tree does not start with the last one in {self._file.path}")

    async def _root(self, session: AsyncSession, size: int) -> bytes | None:
        try:
            return await root_at(session, size)
        except TreeDamaged:
            return None


def _is_next(signed: Signed | None, claimed: Checkpoint | None, newest: Checkpoint | None) -> bool:
    """Whether what was signed is ahead of the database by exactly the events that it names."""
    if signed is None or claimed is None:
        return False
    size, place = (newest.tree_size, newest.place) if newest else (0, (0, 0))
    return claimed.place > place and size + len(signed.events) == claimed.tree_size
