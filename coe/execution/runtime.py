"""The parts that all runs of a process share: journal, listener, heartbeat of the leases."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError

from coe.access.actor import Actor
from coe.catalog.flows.contents import runnable_version
from coe.db import new_id
from coe.db.notifications import Listener
from coe.errors import Conflict
from coe.formats import uuids
from coe.json_types import JSON
from coe.language.load import load
from coe.language.model.definition import Definition
from coe.leaves.leaf import LeafHandler
from coe.machine.machine import EvaluateJq
from coe.runs import leases
from coe.runs.inbox import CHANNEL
from coe.runs.journal import Journal
from coe.runs.leases import Lease
from coe.work import Platform

CENTRAL: Final = Actor.of("service:central", display_name="The executor of central runs")
MAX_DEFINITIONS: Final = 200
READERS: Final = 2
"""Connections that take leases and read inboxes, each in one statement."""
_log = logging.getLogger(__name__)


SecretsOf = Callable[[str], Mapping[str, JSON]]
"""The secrets that flows of a team may use, as they are now."""


@dataclass(slots=True)
class HeldRun:
    """A run that this process holds: `changed` wakes its loop; `lost` if another holder has it.

    `news` is whether the inbox may have something new.
    """

    lease: Lease
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    news: bool = True
    lost: bool = False

    def notify(self) -> None:
        """Have the inbox read."""
        self.news = True
        self.changed.set()

    def lose(self) -> None:
        """Have the run left to another holder."""
        self.lost = True
        self.changed.set()


class Runtime:
    """The parts that all runs of a process share. Start it before `execution.advance`.

    `holder` is the name of this process in leases, unique for all time. `perform` carries out
    leaves, and may be called again with the same key after a crash; `evaluate` evaluates
    expressions. `secrets` are those that definitions may declare, for every team or by team; they
    are never written.
    """

    def __init__(
        self,
        platform: Platform,
        *,
        perform: LeafHandler,
        evaluate: EvaluateJq,
        secrets: Mapping[str, JSON] | SecretsOf | None = None,
    ) -> None:
        self.platform: Final = platform
        self.perform: Final = perform
        self.evaluate: Final = evaluate
        self._secrets: Final = secrets or {}
        self.holder: Final = f"{socket.gethostname()}:{os.getpid()}:{new_id()}"
        self.journal: Final = Journal(platform.database)
        self.direct: Final = platform.database.readers(size=READERS)
        self.listener: Final = Listener(platform.database)
        self.draining = False
        self._held: dict[UUID, HeldRun] = {}
        self._definitions: OrderedDict[UUID, Definition] = OrderedDict()
        self._stack = contextlib.ExitStack()
        self._heartbeat: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen for notifications of runs, and keep the leases of this process alive."""
        self._stack.enter_context(self.listener.subscribe(CHANNEL, self._on_notification))
        await self.listener.start()
        self._heartbeat = asyncio.create_task(self._beat_for_ever(), name="coe-heartbeat")

    def drain(self) -> None:
        """Take no more runs, start no more leaves, and hand over runs whose leaves have ended."""
        self.draining = True
        for held in self._held.values():
            held.changed.set()

    async def close(self) -> None:
        """Stop; runs that are still held go on elsewhere when their leases have expired."""
        if self._heartbeat is not None:
            self._heartbeat.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._heartbeat
        await self.listener.close()
        self._stack.close()
        await self.journal.close()
        await self.direct.close()

    def secrets(self, team: str) -> Mapping[str, JSON]:
        """The secrets that flows of the team may use."""
        return self._secrets(team) if callable(self._secrets) else self._secrets

    @contextlib.asynccontextmanager
    async def hold(self, lease: Lease) -> AsyncIterator[HeldRun]:
        """Keep a lease alive within the context; an earlier lease of the same run is lost."""
        held = HeldRun(lease)
        earlier = self._held.get(lease.run_id)
        if earlier is not None:
            earlier.lose()
        self._held[lease.run_id] = held
        try:
            yield held
        finally:
            if self._held.get(lease.run_id) is held:
                del self._held[lease.run_id]

    async def definition(self, version_id: UUID) -> Definition:
        """The definition of a flow version, loaded once and checked against its signature.

        Raises:
            NotFound: There is no such version.
            Conflict: It is not what was signed, or can no longer be read.
        """
        known = self._definitions.get(version_id)
        if known is None:
            async with self.platform.database.session() as session:
                flow = await runnable_version(session, self.platform, version_id)
            known = load(flow.definition).definition
            if known is None:
                raise Conflict(f"{flow.version.ref} can no longer be read")
            self._definitions[version_id] = known
            if len(self._definitions) > MAX_DEFINITIONS:
                self._definitions.popitem(last=False)
        self._definitions.move_to_end(version_id)
        return known

    def _on_notification(self, payload: str) -> None:
        if payload:
            with contextlib.suppress(ValueError):
                held = self._held.get(uuids.read(payload))
                if held is not None:
                    held.notify()
            return
        for held in self._held.values():
            held.notify()

    async def _beat_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self.platform.settings.heartbeat_seconds)
            try:
                await self.beat()
            except (SQLAlchemyError, OSError) as error:
                _log.warning("the heartbeat failed: %s", type(error).__name__)

    async def beat(self) -> None:
        """Extend every lease of this process once; runs that another holder took are lost."""
        held = dict(self._held)
        if not held:
            return
        fences = {run_id: each.lease.fence for run_id, each in held.items()}
        kept = await self._renew(fences, wait=False)
        for run_id in fences.keys() - kept:
            kept |= await self._renew({run_id: fences[run_id]}, wait=True)
        for run_id, each in held.items():
            if run_id not in kept:
                each.lose()
            elif self._held.get(run_id) is each:
                each.notify()

    async def _renew(self, fences: Mapping[UUID, int], *, wait: bool) -> set[UUID]:
        async with self.platform.database.session() as session:
            seconds = self.platform.settings.lease_seconds
            kept = await leases.renew(session, fences, seconds=seconds, wait=wait)
            await session.commit()
        return kept
