"""The group of `coe decision`."""

from __future__ import annotations

import click

from coe.cli.decision.check import check
from coe.cli.decision.register import register
from coe.cli.decision.replay import replay
from coe.cli.decision.test import test
from coe.cli.decision.trial import try_table
from coe.cli.lifecycle import add_lifecycle


@click.group()
def command() -> None:
    """Check, try, test and publish decision tables; see what a new version changes."""


for each in (check, register, replay, test, try_table):
    command.add_command(each)
add_lifecycle(command)
