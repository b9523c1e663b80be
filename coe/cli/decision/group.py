"""The group of `coe decision`."""

from __future__ import annotations

import click

from coe.cli.decision.catalog import preview, show
from coe.cli.decision.check import check
from coe.cli.decision.register import register
from coe.cli.decision.replay import replay
from coe.cli.decision.test import test
from coe.cli.decision.trial import try_table
from coe.cli.grammar import Noun
from coe.cli.lifecycle import add_lifecycle
from coe.cli.versions import add_versions


@click.group(cls=Noun, elsewhere={"list": "`coe catalog search --kind DECISION`"})
def command() -> None:
    """Check, try, test and publish decision tables; see what a new version changes."""


for each in (check, preview, register, replay, show, test, try_table):
    command.add_command(each)
add_lifecycle(command)
add_versions(command, "decision")
