"""Files in the user's configuration folder, written in one step and readable by the user alone."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

import click

from coe.errors import CoeError
from coe.json_types import JSON


def user_file(name: str) -> Path:
    """The path of a file in `coe/` of `$XDG_CONFIG_HOME` (by default `~/.config`)."""
    return Path(click.get_app_dir("coe")) / name


def write_user_file(path: Path, data: JSON) -> None:
    """Write a JSON document in one step, with mode 0600.

    Raises:
        CoeError: The file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-")  # mode 0600
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(data, file, indent=2)
                file.write("\n")
                file.flush()
                os.fsync(file.fileno())
            Path(draft).replace(path)
        except BaseException:
            Path(draft).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise CoeError(f"{path} cannot be written: {error.strerror}", code="INVALID") from None
