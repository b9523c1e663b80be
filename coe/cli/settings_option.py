"""The option `--config`, and the settings of the commands that are a process of an installation."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import click

from coe import logs
from coe.errors import CoeError, errors_in

if TYPE_CHECKING:
    from coe.settings import Settings

config_option = click.option(
    "--config",
    envvar="COE_CONFIG",
    type=click.Path(exists=True, dir_okay=False),
    help="A file of COE_NAME=value lines; variables of the environment win over it.",
)


def settings_from(config: str | None, *, process: bool = False) -> Settings:
    """Read the settings; report all invalid ones in one error, and warn of names that are none.

    Args:
        config: The settings file.
        process: Warn in log records, as a process does that goes on.

    Raises:
        CoeError: The message names each invalid setting, a misspelt one that protects, or the
            missing file.
    """
    from coe.installation.configuration import unknown_settings  # noqa: PLC0415  # slow to import
    from coe.settings import read_settings  # noqa: PLC0415  # the same

    file = check_valid(config)
    settings, unknown = read_settings(file), unknown_settings(file)
    misspelt = [f"{each.message}: {each.help}" for each in errors_in(unknown)]
    if misspelt:
        raise CoeError(f"the settings are invalid: {'; '.join(misspelt)}", code="INVALID")
    if process:
        logs.configure(settings.log_level)
    for each in unknown:
        if process:
            logging.getLogger("coe.settings").warning("%s: %s", each.message, each.help)
        else:
            click.echo(f"warning: {each.message}: {each.help}", err=True)
    return settings


def check_valid(config: str | None) -> Path | None:
    """Refuse invalid settings; returns the settings file.

    Raises:
        CoeError: The message names each invalid setting, or the missing file.
    """
    from coe.installation.configuration import invalid_settings  # noqa: PLC0415  # slow to import

    file = Path(config) if config else None
    wrong = invalid_settings(file)
    listed = "; ".join(": ".join(filter(None, (each.path, each.message))) for each in wrong)
    if wrong and wrong[0].code == "SETTINGS_FILE":
        raise CoeError(listed, code="INVALID")
    if wrong:
        raise CoeError(f"the settings are invalid: {listed}", code="INVALID")
    return file
