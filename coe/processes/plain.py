"""A process that serves nothing but its probes: it runs loops until it is asked to end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from functools import partial
from typing import Final

from coe.installation.measures import measure_process
from coe.installation.status import Check
from coe.processes.background import Background, Loop
from coe.processes.ending import on_first_signal
from coe.processes.probes import Look, Probes
from coe.processes.readiness import database_checks, keys_check
from coe.processes.starting import database_is_ours, until_it_is
from coe.work import Platform

_log: Final = logging.getLogger(__name__)


class PlainProcess:
    """One process over one platform; `look` says how the parts are that it has beside it."""

    def __init__(self, role: str, platform: Platform, look: Look) -> None:
        self._platform = platform
        self._look = look
        self.probes = Probes(role, self._checks)

    async def run(self, loops: Mapping[str, Loop]) -> None:
        """Run the loops until SIGTERM or Ctrl-C, once the database answers.

        Raises:
            KeysRefused: Keys are missing, or those of another installation.
        """
        stop, background = asyncio.Event(), Background()
        with on_first_signal(stop.set):
            async with self.probes.serving(self._platform.settings):
                if await until_it_is(self._is_ours, "the database", stop):
                    self.probes.started = True
                    background.run("metrics", partial(measure_process, self._platform, None))
                    for name, loop in loops.items():
                        background.run(name, loop)
                    _log.info("%s: up", self.probes.role)
                    await stop.wait()
                self.probes.draining = True
                await background.stop()

    async def _is_ours(self) -> None:
        await database_is_ours(self._platform)

    async def _checks(self) -> list[Check]:
        keys = keys_check(compared=self.probes.started)
        return [keys, *await database_checks(self._platform), *await self._look()]
