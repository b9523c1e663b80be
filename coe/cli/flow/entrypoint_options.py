"""The options of commands that try the entrypoints of local flows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])


def entrypoint_options(function: FunctionT) -> FunctionT:
    """Add the options `--flows-dir` and `--no-import`, passed as they are."""
    for option in (
        click.option(
            "--no-import",
            is_flag=True,
            help="Do not try the entrypoints of local flows, which imports their files.",
        ),
        click.option(
            "--flows-dir",
            envvar="COE_FLOWS_DIR",
            show_envvar=True,
            type=click.Path(exists=True, file_okay=False, path_type=Path),
            help="The folder below which entrypoints are; by default a folder around the manifest.",
        ),
    ):
        function = option(function)
    return function
