"""The threads of the log: who is cancelled waits for what a thread does, with its locks."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

import pytest

from coe.audit.signed_file import SignedFile
from coe.audit.threads import in_thread
from tests.factories.audit import Log, event


@dataclass
class Blocking:
    """A call that blocks until it is let go."""

    began: threading.Event = field(default_factory=threading.Event)
    let: threading.Event = field(default_factory=threading.Event)
    done: bool = False

    def __call__(self) -> None:
        self.began.set()
        assert self.let.wait(60)
        self.done = True


async def cancel(task: asyncio.Task[int] | asyncio.Task[None], call: Blocking) -> None:
    """Cancel the task while the call blocks; whatever the loop can do then is done."""
    await asyncio.to_thread(call.began.wait, 60)
    for _ in range(3):
        task.cancel()
        for _ in range(20):
            await asyncio.sleep(0)


async def test_who_is_cancelled_waits_for_the_thread() -> None:
    call = Blocking()
    task = asyncio.create_task(in_thread(call))
    await cancel(task, call)
    assert not task.done()
    call.let.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert call.done


async def test_a_sealer_that_is_stopped_while_it_signs_lets_no_other_one_sign(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    await log.write(event(1))
    call, write = Blocking(), SignedFile.write

    def slow(self: SignedFile, note: str, events: Sequence[UUID]) -> None:
        call()
        write(self, note, events)

    with monkeypatch.context() as patched:
        patched.setattr(SignedFile, "write", slow)
        task = asyncio.create_task(log.sealer().seal_once())
        await cancel(task, call)
    try:
        assert await log.sealer().seal_once() == 0
    finally:
        call.let.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    await log.seal()
    await log.write(event(2))
    await log.seal()
    assert await log.rows("SELECT tree_size FROM audit_checkpoints ORDER BY 1") == [(1,), (2,)]
