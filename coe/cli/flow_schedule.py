"""`coe flow schedule`: when a flow starts by itself; pause it, resume it."""

from __future__ import annotations

import sys
from typing import Any, Final

import click

from coe.cli.output import output_option, print_json, print_problems
from coe.cli.server import Server, with_server
from coe.errors import NotFound

SCHEDULE: Final = """
query Schedule($ref: String!) {
  flow(ref: $ref) {
    ref
    schedule {
      kind expression timeZone enabled version nextAt lastAt problem lastRun { id state }
    }
  }
}
"""
CHANGE: Final = """
mutation Change($input: ScheduleInput!) {
  %s(input: $input) { problems { code severity message path line column help } }
}
"""


@click.command("schedule")
@click.argument("ref")
@click.option("--pause", "change", flag_value="pauseSchedule", help="Start no further run.")
@click.option("--resume", "change", flag_value="resumeSchedule", help="Start runs again, from now.")
@click.option("--reason", help="Why; needed to pause or to resume.")
@output_option()
@with_server
def schedule(server: Server, ref: str, change: str | None, reason: str | None, output: str) -> None:
    """Tell when REF (namespace/name) starts by itself; pause it, or resume it.

    Exit code 6 for a flow that does not start by itself.
    """
    if change is not None:
        _change(server, ref, change, reason)
    flow = server.call(SCHEDULE, {"ref": ref})["flow"]
    found = flow["schedule"]
    if found is None:
        raise NotFound(f"{flow['ref']} does not start by itself: its live version has no schedule")
    if output == "json":
        print_json(found)
    else:
        _tell(flow["ref"], found)


def _change(server: Server, ref: str, change: str, reason: str | None) -> None:
    if not reason:
        raise click.UsageError("say why: --reason TEXT")
    given = {"input": {"flow": ref, "reason": reason}}
    problems = server.call(CHANGE % change, given)[change]["problems"]
    if problems:
        print_problems(problems)
        sys.exit(1)


def _tell(ref: str, found: dict[str, Any]) -> None:
    zone = f" ({found['timeZone']})" if found["kind"] == "CRON" else ""
    state = "" if found["enabled"] else ", paused"
    click.echo(f"{ref}@{found['version']}: {found['kind']} {found['expression']}{zone}{state}")
    if found["nextAt"] and found["enabled"]:
        click.echo(f"  next  {found['nextAt']}")
    if found["lastAt"]:
        run = found["lastRun"]
        last = f"  {run['state']}  {run['id']}" if run else ""
        click.echo(f"  last  {found['lastAt']}{last}")
    if found["problem"]:
        click.echo(f"  problem  {found['problem']}")
