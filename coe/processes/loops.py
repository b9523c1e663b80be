"""`coe loops`: dispatch, timers, schedules, reaper, reminders and tidying; several at once."""

from __future__ import annotations

import logging

from coe import logs
from coe.engines.prefect_engine import PrefectEngine
from coe.errors import CoeError
from coe.installation.keys import require_keys
from coe.installation.status import Check
from coe.processes.housekeeping import Housekeeping
from coe.processes.plain import PlainProcess
from coe.processes.readiness import engine_check
from coe.settings import Settings
from coe.work import Platform

_log = logging.getLogger(__name__)


async def run_loops(settings: Settings) -> None:
    """Run the loops until SIGTERM or Ctrl-C.

    Raises:
        CoeError: `COE_PREFECT_URL` is not set.
        KeysRefused: Keys are missing, or those of another installation.
    """
    logs.configure(settings.log_level)
    for note in settings.unprotected("database_url", "database_direct_url", "prefect_url"):
        _log.warning("%s", note)
    require_engine(settings)
    await require_keys(settings)
    engine = PrefectEngine.open(settings)
    platform = Platform.open(settings, name="coe-loops")

    async def look() -> list[Check]:
        return [engine_check(await engine.health(), needed=False)]

    try:
        await PlainProcess("loops", platform, look).run(Housekeeping(platform, engine).loops())
    finally:
        await engine.close()
        await platform.close()
        _log.info("the loops have stopped")


def require_engine(settings: Settings) -> None:
    """Require the address of Prefect.

    Raises:
        CoeError: `COE_PREFECT_URL` is not set.
    """
    if settings.prefect_url is None:
        raise CoeError(
            "COE_PREFECT_URL is not set: name the API of the Prefect server, such as"
            " http://prefect:4200/api, docs/settings.md",
            code="INVALID",
        )
