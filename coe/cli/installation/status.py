"""`coe status`: how an installation is."""

from __future__ import annotations

import asyncio

from coe.cli.grammar import example, verb
from coe.cli.installation.checks import exit_code, table_of
from coe.cli.output import Result, printed
from coe.cli.settings_option import config_option, settings_from


@verb()
@config_option
@example("coe status", "coe status --config coe.env --output json")
@printed()
def command(config: str | None) -> Result:
    """Show how an installation is, and what to do next, from its settings; no API is asked.

    Database, schema, keys, policy, sealing, outbox, runs, workers, engine, certificate; what is
    not well names its page. Exit code 0 if all work, also with warnings; 1 with a problem; 7 if
    the database does not answer.
    """
    from coe.installation.status import installation_status  # noqa: PLC0415  # slow to import

    checks = asyncio.run(installation_status(settings_from(config)))
    data, table = table_of(checks)
    return Result(data, table, code=exit_code(checks))
