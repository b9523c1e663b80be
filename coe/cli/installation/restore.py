"""`coe restore`: whether a restored database is whole, and what is lost."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Any

import click

from coe.cli.grammar import Noun, example
from coe.cli.installation.checks import exit_code, table_of
from coe.cli.output import Result, Table, View, printed
from coe.cli.settings_option import config_option, settings_from


@click.group(cls=Noun)
def command() -> None:
    """Verify a restored database."""


@command.command()
@config_option
@click.option("--runs", is_flag=True, help="List the runs that were under way, with their keys.")
@example("coe restore verify --config coe.env", "coe restore verify --runs --output json")
@printed()
def verify(config: str | None, runs: bool) -> Result:  # noqa: FBT001  # click passes it by keyword
    """Verify a restored database before any process is started; nothing is changed.

    The keys, the audit log, the codes of rows, the journals; which sealed events are lost, by the
    checkpoints outside; what is done again. Exit code 0 if it is whole, 1 if something is lost or
    changed, 7 if the database does not answer.
    """
    from coe.installation.restore import verify_restored  # noqa: PLC0415  # slow to import

    found = asyncio.run(verify_restored(settings_from(config)))
    checks, table = table_of(found.checks)
    going_on = [asdict(each) for each in found.runs]
    data: dict[str, Any] = {"checks": checks, "loss": None, "runs": going_on}
    views: list[View] = [table]
    if found.loss is not None:
        accept = (
            f"coe audit accept-loss --from {found.loss.kept_size}"
            f" --confirmation {found.confirmation} --reason '…'"
        )
        data["loss"] = {
            "from": found.loss.kept_size,
            "size": found.loss.lost.tree_size,
            "checkpoint": found.loss.lost.note,
            "confirmation": found.confirmation,
        }
        views += [
            "",
            f"{found.loss.positions} are lost for good if there is no newer backup. Two people",
            "accept that, each with their own token, once the API runs:",
            f"  {accept}",
        ]
    if runs:
        views += ["", Table(going_on, ["run", "flow", "state", "step", "key"], "No runs.")]
    return Result(data, views, code=exit_code(found.checks))
