"""`coe sealer`: seals the audit log; of several, one seals and the others stand by."""

from __future__ import annotations

import logging

from coe import logs
from coe.installation.keys import require_keys
from coe.installation.status import Check
from coe.processes.plain import PlainProcess
from coe.processes.sealing import Sealing
from coe.settings import Settings
from coe.work import Platform

_log = logging.getLogger(__name__)


async def run_sealer(settings: Settings) -> None:
    """Seal the audit log, or stand by, until SIGTERM or Ctrl-C; then another one takes over.

    Raises:
        KeysRefused: Keys are missing, or those of another installation.
    """
    logs.configure(settings.log_level)
    for note in settings.unprotected("database_url", "database_direct_url", "sealer_database_url"):
        _log.warning("%s", note)
    await require_keys(settings)
    platform = Platform.open(settings, name="coe-sealer", pool_size=2)
    sealing = Sealing.open(platform)

    async def look() -> list[Check]:
        return [sealing.sealer_check(), sealing.check(own=True)]

    loops = {"audit sealer": sealing.sealer.run_forever, "audit watch": sealing.watch_for_ever}
    try:
        await PlainProcess("sealer", platform, look).run(loops)
    finally:
        await sealing.close()
        await platform.close()
        _log.info("the sealer has stopped")
