"""Keeps the sinks up to date, and compares them with the database before anything is sealed.

A sink that answers has at least what it had, and nothing that the database lacks; else nothing is
sealed. A witness does not say what it has: it is sent the newest checkpoint, and proves by its
refusal that the log is not the one that it has seen. A sink that is down stops nothing: it is tried
again, and compared before it is sent anything. How far behind it is, is in the database, for the
alarm.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from coe.audit.checkpoint import AcceptedLoss, Checkpoint
from coe.audit.queries import newest_checkpoint
from coe.audit.sinks.sink import Prove, Sink, SinkAhead, SinkFailed
from coe.audit.sinks.state import SINK_CODES, known_sinks, note_failure, note_kept
from coe.audit.tree import consistency_path
from coe.crypto.mac import MacKeys
from coe.crypto.signing import NoteRefused, VerifyKey
from coe.db import Database
from coe.errors import CoeError
from coe.telemetry.sinks import writing_to

RETRY_SECONDS: Final = 5.0
COMPARE_SECONDS: Final = 10.0
"""How long the first comparison waits for all sinks together."""
COMPARED_SECONDS: Final = 300.0
"""How long a comparison counts; then the sink is compared again."""
_LOG: Final = logging.getLogger(__name__)


class SinkRefused(CoeError):
    """A sink is not as the database knows it: nothing is sealed until somebody has looked at it."""


@dataclass(frozen=True, slots=True)
class _Proof:
    """A sink has seen another log; `added_at` is when the operator added it last."""

    why: str
    epoch: int
    seen: int
    added_at: datetime

    def accepted(self, losses: Sequence[AcceptedLoss]) -> bool:
        """Whether two people have accepted that what it has seen is lost."""
        later = losses[self.epoch - 1 :]
        return any(each.kept_size < self.seen <= each.lost_size for each in later)


class SinkKeeper:
    """The sinks of one sealer.

    `elsewhere` are the newest checkpoints that sinks keep, by name; `refused` says of a sink why
    nothing may be sealed because of it.
    """

    def __init__(
        self,
        database: Database,
        macs: MacKeys,
        key: VerifyKey,
        sinks: Sequence[Sink],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.elsewhere: dict[str, Checkpoint] = {}
        self.refused: dict[str, str] = {}
        self._database = database
        self._macs = macs
        self._key = key
        self._clock = clock
        self._sinks = {each.name: each for each in sinks}
        self._proofs: dict[str, _Proof] = {}
        self._compared: dict[str, float] = {}
        self._added: dict[str, datetime] = {}
        self._kept: dict[str, Checkpoint | None] = {}
        self._news: dict[str, asyncio.Event] = {name: asyncio.Event() for name in self._sinks}
        self._newest: Checkpoint | None = None
        self._first = True
        self._again_at = 0.0

    async def require(self, session: AsyncSession) -> None:
        """Require that each sink is as the database knows it; the first time each is asked.

        It takes no second connection.

        Raises:
            SinkRefused: One is not.
        """
        now = self._clock()
        if self._first or ((self.refused or self._proofs) and now > self._again_at):
            await self._compare_all(session)
            self._first, self._again_at = False, now + RETRY_SECONDS
        _refuse(self.refused)

    def require_seen(self, losses: Sequence[AcceptedLoss]) -> None:
        """Require that no sink has seen another log, but for the losses that were accepted.

        Raises:
            SinkRefused: One has.
        """
        proofs = self._proofs.items()
        _refuse({name: each.why for name, each in proofs if not each.accepted(losses)})

    def offer(self, checkpoint: Checkpoint) -> None:
        """Have every sink keep the newest checkpoint, in a while."""
        if checkpoint != self._newest:
            self._newest = checkpoint
            for each in self._news.values():
                each.set()

    def forget(self) -> None:
        """Send nothing more, as another process seals now; what was proven stays."""
        self._newest, self._first = None, True
        for state in (self.elsewhere, self.refused, self._compared, self._kept):
            state.clear()

    async def run_forever(self) -> None:
        """Send to the sinks what is offered, until cancelled."""
        await asyncio.gather(*(self._serve(each) for each in self._sinks.values()))

    async def keep(self, sink: Sink) -> bool:
        """Send a sink the newest checkpoint once; whether it has it then."""
        newest = self._newest
        due = self._is_due(sink)
        if newest is None or (not due and self._kept.get(sink.name) == newest):
            return True
        try:
            if due:
                async with self._database.session() as session:
                    row = (await known_sinks(session)).get(sink.name)
                await self._compare(sink, row, newest)
            ahead = self.elsewhere.get(sink.name)
            if sink.name in self.refused or (ahead and ahead.place > newest.place):
                return False
            if self._newest is None:  # another process seals since
                return True
            if self._kept.get(sink.name) != newest:
                with writing_to(sink.name):
                    await sink.keep(newest, self._kept.get(sink.name), self._prove)
        except SinkAhead as error:
            self._proven(sink, newest, error)
        except SQLAlchemyError:
            raise
        except Exception as error:  # noqa: BLE001  # of one sink; noted and tried again
            await self._failed(sink, error)
        else:
            async with self._database.session() as session:
                await note_kept(session, self._macs, sink, newest)
                await session.commit()
            self._kept[sink.name] = newest
            self._proofs.pop(sink.name, None)
            return True
        return False

    def _is_due(self, sink: Sink) -> bool:
        """Whether a sink has to be compared before it is sent anything."""
        at = self._compared.get(sink.name)
        return at is None or self._clock() - at >= COMPARED_SECONDS

    async def _serve(self, sink: Sink) -> None:
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._news[sink.name].wait(), COMPARED_SECONDS)
            self._news[sink.name].clear()
            try:
                done = await self.keep(sink)
            except Exception as error:  # noqa: BLE001  # the top of a loop: logged and repeated
                _LOG.warning("a sink could not be noted: %s", type(error).__name__)
                done = False
            if not done:
                self._news[sink.name].set()
            await asyncio.sleep(sink.every if done else max(sink.every, RETRY_SECONDS))

    async def _compare_all(self, session: AsyncSession) -> None:
        known, newest = await known_sinks(session), await newest_checkpoint(session)
        self.refused = {
            name: (
                f"the database knows a sink of this name, and COE_CHECKPOINT_SINKS_FILE has none: "
                f"name it there, or coe sink remove {name}"
            )
            for name in known
            if name not in self._sinks
        }
        self._compared.clear()
        alone = asyncio.Lock()

        async def prove(old: int, new: int) -> tuple[bytes, ...]:
            async with alone:
                return await consistency_path(session, old, new)

        tried = (
            self._try(each, known.get(each.name), newest, prove) for each in self._sinks.values()
        )
        errors = await asyncio.gather(*tried)
        for name, error in zip(self._sinks, errors, strict=True):
            if error is not None:
                await note_failure(session, name, _told(name, error))

    async def _try(
        self, sink: Sink, row: Any, newest: Checkpoint | None, prove: Prove
    ) -> Exception | None:
        """Compare a sink in time; the error if it is away."""
        try:
            async with asyncio.timeout(COMPARE_SECONDS):
                await self._compare(sink, row, newest)
                if newest is None or not sink.proves or sink.name in self.refused:
                    return None
                await sink.keep(newest, self._kept.get(sink.name), prove)
        except SinkAhead as error:
            self._proven(sink, newest, error)
        except SQLAlchemyError:
            raise
        except Exception as error:  # noqa: BLE001  # of one sink; noted and tried again
            self._compared.pop(sink.name, None)
            return error
        else:
            self._proofs.pop(sink.name, None)
        return None

    def _proven(self, sink: Sink, newest: Checkpoint | None, error: SinkAhead) -> None:
        """Note that a sink has seen another log."""
        size, epoch = (newest.tree_size, newest.epoch) if newest else (0, 1)
        why = (
            f"{error.message}, and the database has {size}: look for that checkpoint in another "
            f"sink, or for a newer backup; if there is none, coe sink remove {sink.name}"
        )
        self._proofs[sink.name] = _Proof(why, epoch, error.seen, self._added[sink.name])

    async def _compare(self, sink: Sink, row: Any, newest: Checkpoint | None) -> None:
        """Compare what a sink keeps with what the database knows of it, and with the log."""
        self.elsewhere.pop(sink.name, None)
        proof = self._proofs.get(sink.name)
        if proof is not None and (row is None or row.added_at != proof.added_at):
            del self._proofs[sink.name]
        why = self._unknown(sink, row)
        kept = None if why or not sink.readable else await self._read(sink)
        known = self._opened(row.note) if row is not None and row.note and not why else None
        if not why and sink.readable:
            why = _shorter(sink.name, kept, known)
        if why:
            self.refused[sink.name] = why
            return
        self._compared[sink.name] = self._clock()
        self._added[sink.name] = row.added_at
        self._kept[sink.name] = kept or known
        losses = self._opened(newest.note).losses if newest else ()
        place = self._opened(newest.note).place if newest else (0, 0)
        for each in (kept, known):
            if each is not None and (each.place > place or each.lost_by(losses)):
                self.elsewhere[sink.name] = each

    def _unknown(self, sink: Sink, row: Any) -> str | None:
        if row is None:
            return f"the database does not know this sink: coe sink add {sink.name}"
        if not SINK_CODES.fits(self._macs, row) or row.kind != sink.kind:
            return (
                "what the database knows of it was changed there: find out by whom, then "
                f"coe sink add {sink.name} --again"
            )
        return None

    async def _read(self, sink: Sink) -> Checkpoint | None:
        note = await sink.newest()
        return None if note is None else self._opened(note)

    def _opened(self, note: str) -> Checkpoint:
        try:
            return Checkpoint.open(note, self._key)
        except NoteRefused as refused:
            raise SinkFailed(
                f"its newest is no checkpoint of this log: {refused.message}"
            ) from None

    async def _failed(self, sink: Sink, error: Exception) -> None:
        """Note that a sink is away: it is compared again before it is sent anything."""
        self._compared.pop(sink.name, None)
        async with self._database.session() as session:
            await note_failure(session, sink.name, _told(sink.name, error))
            await session.commit()

    async def _prove(self, old: int, new: int) -> tuple[bytes, ...]:
        async with self._database.session() as session:
            return await consistency_path(session, old, new)


def _refuse(reasons: dict[str, str]) -> None:
    if reasons:
        raise SinkRefused("; ".join(f"{name}: {why}" for name, why in reasons.items()))


def _told(name: str, error: Exception) -> str:
    """Why a sink does not keep the newest checkpoint, which is logged too."""
    message = f"an error of the platform: {type(error).__name__}"
    if isinstance(error, CoeError):
        message = error.message
    elif isinstance(error, TimeoutError):
        message = "it does not answer in time"
    _LOG.warning("the sink %s does not keep the newest checkpoint: %s", name, message)
    return message


def _shorter(name: str, kept: Checkpoint | None, known: Checkpoint | None) -> str | None:
    """Why a sink is refused: it does not keep any more what it had taken."""
    if known is None or (kept is not None and kept.place >= known.place):
        return None
    has = "is empty" if kept is None else f"has one of {kept.tree_size}"
    return (
        f"it had a checkpoint of {known.tree_size} events, and {has} now: restore it, or find out "
        f"why and coe sink add {name} --again"
    )
