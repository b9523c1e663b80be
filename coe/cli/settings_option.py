"""The option `--config`, and the settings of the commands that are a process of an installation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from coe.errors import CoeError

if TYPE_CHECKING:
    from coe.settings import Settings

config_option = click.option(
    "--config",
    envvar="COE_CONFIG",
    type=click.Path(dir_okay=False),
    help="A file of COE_NAME=value lines; variables of the environment win over it.",
)


def settings_from(config: str | None) -> Settings:
    """Read the settings; report all invalid ones in one error.

    Raises:
        CoeError: The message names each invalid setting, or the missing file.
    """
    from pydantic import ValidationError  # noqa: PLC0415  # pydantic is slow to import

    from coe.settings import read_settings  # noqa: PLC0415  # the same

    try:
        return read_settings(Path(config) if config else None)
    except FileNotFoundError as error:
        raise CoeError(str(error), code="INVALID") from None
    except ValidationError as error:
        wrong = "; ".join(
            f"COE_{'_'.join(str(part) for part in item['loc']).upper()}: {item['msg']}"
            for item in error.errors(include_input=False)
        )
        raise CoeError(f"the settings are invalid: {wrong}", code="INVALID") from None
