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
verified it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from coe.audit.checkpoint import Checkpoint
from coe.audit.checkpoint_file import CheckpointFile, note_of
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


class SignedHistory:
    """What was signed with one key, by the files of one sealer and by its own memory."""

    def __init__(self, checkpoint_file: Path, key: VerifyKey) -> None:
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

    async def check(self, session: AsyncSession, newest: Checkpoint | None) -> Signed | None:
        """Check that the database continues what was signed; `newest` is its newest checkpoint.

        Returns:
            What was signed and is not in the database yet: the next seal has to complete it.

        Raises:
            LogBroken: It does not.
        """
        signed, line = await in_thread(self._read)
        last = self.opened(note_of(line)) if line is not None else None
        await self._check_file(session, last, newest)
        self._published = last
        highest = self.opened(signed.note) if signed else newest
        self._check_memory(highest)
        size = newest.tree_size if newest else 0
        if highest is None:
            return None
        if size > highest.tree_size:
            message = (
                f"the database has a checkpoint of {size} events, and {self._signed.path} of "
                f"{highest.tree_size}: another sealer has other files, or they are of a backup"
            )
            raise LogBroken(message)
        if newest and size == highest.tree_size and newest.note != highest.note:
            raise LogBroken(f"two checkpoints of {size} events were signed")
        if signed is None:  # files of an earlier release
            await self.will_sign(highest, ())
        self._highest = highest
        if size == highest.tree_size or signed is None:
            return None
        if size + len(signed.events) != highest.tree_size:
            raise LogBroken(self._cut_back(highest.tree_size, size))
        return signed

    async def will_sign(self, checkpoint: Checkpoint, events: Sequence[UUID]) -> None:
        """Remember the checkpoint, on disk too, before the database commits it."""
        await in_thread(self._signed.write, checkpoint.note, events)
        self._highest = checkpoint

    async def publish(self, checkpoint: Checkpoint) -> None:
        """Append to the checkpoint file what the database has committed; again changes nothing."""
        if checkpoint != self._published:
            await in_thread(self._file.append, [(checkpoint.tree_size, checkpoint.note)])
            self._published = checkpoint

    def _read(self) -> tuple[Signed | None, bytes | None]:
        return self._signed.read(), self._file.last_line()

    def _check_memory(self, highest: Checkpoint | None) -> None:
        mine = self._highest
        if mine is None:
            return
        if highest is None or highest.tree_size < mine.tree_size:
            message = f"{self._signed.path} was cut or emptied while this process ran"
            raise LogBroken(message)
        if highest.tree_size == mine.tree_size and highest.note != mine.note:
            raise LogBroken(f"two checkpoints of {mine.tree_size} events were signed")

    async def _check_file(
        self, session: AsyncSession, last: Checkpoint | None, newest: Checkpoint | None
    ) -> None:
        """Check that the file has every checkpoint, or every one but the newest."""
        size = newest.tree_size if newest else 0
        if last is not None and last.tree_size > size:
            raise LogBroken(self._cut_back(last.tree_size, size))
        if last is not None and newest and last.tree_size == size:
            if last.note != newest.note:
                raise LogBroken(f"two checkpoints of {size} events were signed")
            return
        lacking = await session.scalar(_LATER, {"size": last.tree_size if last else 0})
        if lacking is not None and lacking > 1:
            how = "is missing or empty" if last is None else f"lacks {lacking} checkpoints"
            message = (
                f"{self._file.path} {how}: restore it, also from a copy that somebody else keeps"
            )
            raise LogBroken(message)
        if last and await self._root(session, last.tree_size) != last.root_hash:
            raise LogBroken(f"the tree does not start with the last one in {self._file.path}")

    def _cut_back(self, signed: int, size: int) -> str:
        return (
            f"{self._file.path} has a checkpoint of {signed} events, and the database of {size}: "
            "it was restored from an older backup, or events were removed"
        )

    async def _root(self, session: AsyncSession, size: int) -> bytes | None:
        try:
            return await root_at(session, size)
        except TreeDamaged:
            return None
