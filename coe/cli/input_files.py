"""Files that a command is given: read as text, or as a value in JSON or YAML; `-` is stdin."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from coe.errors import CoeError
from coe.json_types import JSON, NotJson, read_json, refuse_repeated_keys


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
            return str(file.read()).removeprefix("\ufeff")
    except (OSError, UnicodeDecodeError) as error:
        raise CoeError(f"{source_name(path)} cannot be read: {error}", code="INVALID") from None


def read_value_input(path: str) -> JSON:
    """Read the value of a file, or of stdin for `-`: JSON or YAML; of a `.json` file JSON alone.

    Raises:
        CoeError: The file cannot be read, or is neither, has a number that would be rounded, or an
            object has a key twice.
    """
    text, name = read_text_input(path), source_name(path)
    try:
        return parse_json_input(text, name)
    except CoeError as error:
        if path.endswith(".json") or not text.strip():
            raise
        no_json = error
    from coe.language.source import Unreadable, read  # noqa: PLC0415  # YAML is slow to import

    try:
        return read(text).data
    except Unreadable as error:
        if text.lstrip()[0] in "{[":
            raise no_json from None
        problem = error.problem
        place = f"line {problem.line}, column {problem.column}: " if problem.line else ""
        raise CoeError(f"{name} cannot be read: {place}{problem.message}", code="INVALID") from None


def read_option_value(option: str, path: str) -> JSON:
    """The value of the file that an option names, as `read_value_input`.

    Raises:
        BadParameter: The file cannot be read, or is not of this form; it names the option.
    """
    try:
        return read_value_input(path)
    except CoeError as error:
        raise click.BadParameter(error.message, param_hint=option) from None


def parse_json_input(text: str, name: str) -> JSON:
    """Parse a JSON text; `name` is where it comes from, in messages.

    Raises:
        CoeError: It is not JSON, has a number that would be rounded, or an object has a key twice.
    """
    try:
        value = read_json(text.encode())
        refuse_repeated_keys(text)
    except NotJson as error:
        raise CoeError(f"{name} cannot be read. {error}", code="INVALID") from None
    return value


def texts_of(folder: Path) -> dict[str, str]:
    """The texts of all files in a folder by their path, without hidden ones.

    Raises:
        CoeError: A file cannot be read, or is not UTF-8.
    """
    texts: dict[str, str] = {}
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        inside = path.relative_to(folder)
        if any(part.startswith(".") for part in inside.parts):
            continue
        try:
            texts[inside.as_posix()] = path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError:
            raise CoeError(f"{path} is not UTF-8", code="INVALID") from None
        except OSError as error:
            raise CoeError(f"{path} cannot be read: {error.strerror}", code="INVALID") from None
    return texts
