"""`coe sink`: places outside the database that keep checkpoints of the audit log."""

from __future__ import annotations

import asyncio

import click

from coe.cli.grammar import Noun, example
from coe.cli.output import Result, Table, printed
from coe.cli.settings_option import config_option, settings_from
from coe.formats import instants


@click.group(cls=Noun)
def command() -> None:
    """Places outside the database that keep checkpoints of the audit log."""


@command.command()
@click.argument("name")
@config_option
@click.option("--again", is_flag=True, help="It begins anew, whatever it kept before.")
@example("coe sink add bucket", "coe sink add bucket --again")
@printed()
def add(config: str | None, name: str, again: bool) -> Result:  # noqa: FBT001  # click passes it by keyword
    """Have the platform know the sink NAME of COE_CHECKPOINT_SINKS_FILE; it is recorded.

    From then on nothing is sealed if it lacks what it has taken.
    """
    from coe.installation import sinks  # noqa: PLC0415  # slow to import

    kind = asyncio.run(sinks.add(settings_from(config), name, again=again))
    note = "restart the process that seals, if it began before the file named the sink"
    return Result({"name": name, "kind": kind}, f"known: {name} ({kind})", [note])


@command.command("list")
@config_option
@example("coe sink list")
@printed()
def list_sinks(config: str | None) -> Result:
    """List the sinks, what they keep, and how far behind they are."""
    from coe.installation import sinks  # noqa: PLC0415  # slow to import

    rows = [
        {
            "name": each.name,
            "kind": each.kind,
            "configured": each.configured,
            "known": each.state is not None,
            "treeSize": each.state.tree_size if each.state else None,
            "keptAt": instants.write_seconds(each.state.kept_at)
            if each.state and each.state.kept_at
            else None,
            "behindSeconds": round(each.state.behind_seconds) if each.state else None,
            "error": each.state.error if each.state else None,
        }
        for each in asyncio.run(sinks.list_sinks(settings_from(config)))
    ]
    columns = ["name", "kind", "known", "treeSize", "keptAt", "behindSeconds", "error"]
    return Result(rows, Table(rows, columns, "No sinks beside the checkpoint file."))


@command.command()
@click.argument("name")
@config_option
@example("coe sink remove bucket")
@printed()
def remove(config: str | None, name: str) -> Result:
    """Forget the sink NAME: nothing is compared with it any more; it is recorded."""
    from coe.installation import sinks  # noqa: PLC0415  # slow to import

    asyncio.run(sinks.remove(settings_from(config), name))
    return Result({"name": name}, f"removed: {name}")
