"""`coe status`: how an installation is."""

from __future__ import annotations

import asyncio
from dataclasses import asdict

from coe.cli.grammar import EXIT_CODES, example, verb
from coe.cli.output import Result, Table, printed
from coe.cli.settings_option import config_option, settings_from


@verb()
@config_option
@example("coe status", "coe status --config coe.env --output json")
@printed()
def command(config: str | None) -> Result:
    """Show how an installation is, and what to do next, from its settings; no API is asked.

    Database, schema, keys, policy, sealing, outbox, runs, workers, engine, certificate; what is
    not well names a page. Exit code 0 if all work, also
    with warnings; 1 with a problem; 7 if the database does not answer.
    """
    from coe.installation.status import Health, installation_status  # noqa: PLC0415  # slow to import

    checks = asyncio.run(installation_status(settings_from(config)))
    data = [asdict(each) for each in checks]
    problems = [each for each in checks if each.health is Health.PROBLEM]
    away = any(each.part == "database" for each in problems)
    code = EXIT_CODES["UNAVAILABLE"] if away else int(bool(problems))
    columns = ["part", "health", "detail", "next"]
    rows = [each | {"next": "\n".join(filter(None, (each["help"], each["page"])))} for each in data]
    return Result(data, Table(rows, columns), code=code)
