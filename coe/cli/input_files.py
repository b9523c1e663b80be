"""Files that a command is given: read as text or JSON; `-` is stdin."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from coe.errors import CoeError


def source_name(path: str) -> str:
    """The name of a file in messages; `-` is stdin."""
    return "stdin" if path == "-" else path


def read_text_input(path: str) -> str:
    """Read the text of a file, or of stdin for `-`.

    Raises:
        CoeError: The file cannot be read.
    """
    if path == "-" and sys.stdin.isatty():
        click.echo("reading from stdin until its end (Ctrl-D) …", err=True)
    try:
        with click.open_file(path, encoding="utf-8") as file:
            return str(file.read())
    except (OSError, UnicodeDecodeError) as error:
        raise CoeError(f"{source_name(path)} cannot be read: {error}", code="INVALID") from None


def read_json_input(path: str) -> Any:
    """Read the JSON value of a file, or of stdin for `-`.

    Raises:
        CoeError: The file cannot be read, or is not JSON.
    """
    try:
        return json.loads(read_text_input(path))
    except ValueError as error:
        raise CoeError(f"{source_name(path)} is not JSON: {error}", code="INVALID") from None
