"""The first files of a new flow or template: asked for, named and written."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Final

import click

from coe.cli.api_client import DEFAULT_URL
from coe.errors import CoeError

_SCHEMA_LINE: Final = "# yaml-language-server: $schema="
_SCHEMAS: Final = {"flow.yaml": "flow", "tests.yaml": "tests", "template.yaml": "template"}


def ask_for(question: str, option: str) -> str:
    """Ask on the terminal for what was not given.

    Raises:
        UsageError: There is no terminal: it names the option.
    """
    if not sys.stdin.isatty():
        raise click.UsageError(f"give {option}")
    return str(click.prompt(question, err=True))


def ask_secret(question: str, option: str) -> str:
    """Ask on the terminal for a secret, which is not shown; elsewhere take a line of stdin.

    Raises:
        UsageError: There is none: it names the option.
    """
    if sys.stdin.isatty():
        return str(click.prompt(question, hide_input=True, err=True))
    line = sys.stdin.readline().strip()
    if not line:
        raise click.UsageError(f"give {option}")
    return line


def parts_of(ref: str) -> tuple[str, str]:
    """The namespace and the name of what is new.

    Raises:
        UsageError: It is not namespace/name.
    """
    from coe.identifiers import is_slug  # noqa: PLC0415  # only here

    namespace, slash, name = ref.partition("/")
    if not slash or not is_slug(namespace) or not is_slug(name):
        message = f"{json.dumps(ref)} is not namespace/name in lower case, such as sales/refund"
        raise click.UsageError(message)
    return namespace, name


def write_new(folder: Path, files: dict[str, str], server: str | None) -> list[str]:
    """Write files that do not exist yet; all of them, or none.

    Each YAML file starts with the line by which editors complete it, from the server's schemas.

    Raises:
        CoeError: One of them exists already, or the folder cannot be written.
    """
    url = (server or DEFAULT_URL).rstrip("/")
    is_template = "template.yaml" in files
    paths = {
        folder / name: _with_schema(name, text, url, is_template=is_template)
        for name, text in files.items()
    }
    there = [str(path) for path in paths if path.exists()]
    if there:
        message = f"{', '.join(there)} exists already; choose another folder with --to"
        raise CoeError(message, code="CONFLICT")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in paths.items():
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CoeError(f"{folder} cannot be written: {error.strerror}", code="INVALID") from None
    return [str(path) for path in paths]


def _with_schema(path: str, text: str, server: str, *, is_template: bool) -> str:
    if not path.endswith(".yaml") or text.startswith(_SCHEMA_LINE):
        return text
    name = _SCHEMAS.get(path, "local-flow")
    if is_template and name == "flow":
        name = "template-flow"
    return f"{_SCHEMA_LINE}{server}/schemas/{name}.schema.json\n{text}"
