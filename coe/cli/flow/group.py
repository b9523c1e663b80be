"""The group of `coe flow`."""

from __future__ import annotations

import click

from coe.cli.flow.check import check
from coe.cli.flow.diagram import diagram
from coe.cli.flow.diff import diff
from coe.cli.flow.register import register
from coe.cli.flow.run import run
from coe.cli.flow.schedule import schedule
from coe.cli.flow.test import test
from coe.cli.flow.trial import try_flow
from coe.cli.lifecycle import add_lifecycle


@click.group()
def command() -> None:
    """Check, register and run flows."""


for each in (check, diagram, diff, register, run, schedule, test, try_flow):
    command.add_command(each)
add_lifecycle(command)
