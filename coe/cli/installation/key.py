"""`coe key`: the keys of an installation."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from coe.cli.grammar import Noun, example
from coe.cli.output import Result, Table, printed
from coe.cli.settings_option import config_option, settings_from


@click.group(cls=Noun)
def command() -> None:
    """Make and check the keys of an installation."""


@command.command()
@config_option
@click.option(
    "--to",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Make new keys in this folder, such as for a Secret of Kubernetes, and ask no database.",
)
@example("coe key new --to keys", "coe key new --config coe.env")
@printed()
def new(config: str | None, to: Path | None) -> Result:
    """Make the keys of a new installation: kek, mac and signing; existing files stay.

    A missing key is not made where the database has what only that key opens or proves. Every
    process that uses the database needs the same files; keep a backup apart from the database's.
    """
    from coe.installation.keys import make_keys, write_keys  # noqa: PLC0415  # slow to import

    settings = settings_from(config)
    if to is not None:
        made = write_keys(to, settings.log_origin)
    else:
        made = asyncio.run(make_keys(settings))
    data = [{"key": each.name, "file": str(each.path), "purpose": each.purpose} for each in made]
    table = Table(data, ["key", "file", "purpose"], "Every key is there already.")
    notes = ["keep a copy apart from the backup of the database"] if made else []
    return Result(data, table, notes)


@command.command("list")
@config_option
@example("coe key list --config coe.env")
@printed()
def list_keys(config: str | None) -> Result:
    """List the files of keys, with the public ids of their keys; exit code 1 if one is wrong.

    Each is compared with the database: whether what is there was sealed or signed by these keys.
    """
    from coe.installation.keys import key_states  # noqa: PLC0415  # slow to import

    states = asyncio.run(key_states(settings_from(config)))
    data = [
        {
            "key": each.file.name,
            "file": str(each.file.path),
            "purpose": each.file.purpose,
            "ids": list(each.ids),
            "neededBy": each.needed,
            "problem": each.problem,
        }
        for each in states
    ]
    problems = [f"{each.file.variable}: {each.problem}" for each in states if each.problem]
    table = Table(data, ["key", "file", "ids", "neededBy"])
    return Result(data, table, [f"error: {each}" for each in problems], code=int(bool(problems)))
