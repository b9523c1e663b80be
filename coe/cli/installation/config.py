"""`coe config`: the settings of an installation."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from coe.cli.grammar import Noun, example
from coe.cli.output import Result, Table, printed, problem_fields
from coe.cli.settings_option import check_valid, config_option


@click.group(cls=Noun)
def command() -> None:
    """Show and check the settings of an installation."""


@command.command()
@config_option
@example("coe config show", "coe config show --config coe.env --output yaml")
@printed()
def show(config: str | None) -> Result:
    """Show every setting: its value without secrets, where it comes from, and what it means."""
    from coe.installation.configuration import (  # noqa: PLC0415  # slow to import
        shown_settings,
        unknown_settings,
    )

    file = check_valid(config)
    data = [
        {("from" if key == "source" else key): value for key, value in asdict(each).items()}
        for each in shown_settings(file)
    ]
    notes = [f"warning: {each.message}: {each.help}" for each in unknown_settings(file)]
    return Result(data, Table(data, ["name", "value", "from", "meaning"]), notes)


@command.command()
@config_option
@example("coe config check", "coe config check --config coe.env")
@printed()
def check(config: str | None) -> Result:
    """Check the settings without starting anything; exit code 1 if one is invalid or unknown.

    The files that they name are read too: sinks, channels, secrets, issuers, and the certificate.
    """
    from coe.installation.configuration import (  # noqa: PLC0415  # slow to import
        invalid_settings,
        unknown_settings,
    )
    from coe.installation.named_files import unusable_files  # noqa: PLC0415  # slow to import

    file = Path(config) if config else None
    problems = invalid_settings(file)
    if not problems:
        problems = unusable_files(file)
    if not any(each.code == "SETTINGS_FILE" for each in problems):
        problems += unknown_settings(file)
    found = [problem_fields(each) for each in problems]
    view = () if found else "the settings are valid"
    return Result(found, view, problems=found, code=int(bool(found)))
