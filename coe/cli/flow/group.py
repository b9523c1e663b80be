"""The group of `coe flow`."""

from __future__ import annotations

import click

from coe.cli.flow.catalog import preview, set_alias, show
from coe.cli.flow.check import check
from coe.cli.flow.diagram import diagram
from coe.cli.flow.diff import diff
from coe.cli.flow.new import new
from coe.cli.flow.register import register
from coe.cli.flow.run import run
from coe.cli.flow.schedule import schedule
from coe.cli.flow.test import test
from coe.cli.flow.trial import try_flow
from coe.cli.grammar import Noun
from coe.cli.lifecycle import add_lifecycle
from coe.cli.versions import add_versions


@click.group(cls=Noun, elsewhere={"list": "`coe catalog search --kind FLOW`"})
def command() -> None:
    """Write, check, register, publish and run flows."""


for each in (
    check,
    diagram,
    diff,
    new,
    preview,
    register,
    run,
    schedule,
    set_alias,
    show,
    test,
    try_flow,
):
    command.add_command(each)
add_lifecycle(command)
add_versions(command, "flow")
