"""`coe loops`: carry on what runs in the background."""

from __future__ import annotations

import asyncio

from coe.cli.grammar import example, verb
from coe.cli.settings_option import config_option, settings_from


@verb()
@config_option
@example("coe loops", "COE_PROBE_PORT=9701 coe loops --config /etc/coe.env")
def command(config: str | None) -> None:
    """Run dispatch, timers, schedules, reaper, reminders and tidying until SIGTERM or Ctrl-C.

    Several may run at once: each claims what it does.
    """
    from coe.processes.loops import run_loops  # noqa: PLC0415  # slow to import

    asyncio.run(run_loops(settings_from(config, process=True)))
