"""`coe flow schedule`."""

from __future__ import annotations

import sys
from typing import Any, Final

import click

from coe.cli.api_client import ApiClient, with_api
from coe.cli.output import PROBLEMS, output_option, print_json, print_problems
from coe.errors import NotFound

_SCHEDULE: Final = """
query Schedule($ref: String!) {
  flow(ref: $ref) {
    ref
    schedule {
      kind expression timeZone enabled version nextAt lastAt problem unmatchedEvents
      lastRun { id state }
    }
  }
}
"""
_CHANGE: Final = """
mutation Change($input: ScheduleInput!) {
  %s(input: $input) { PROBLEMS }
}
""".replace("PROBLEMS", PROBLEMS)


@click.command("schedule")
@click.argument("ref")
@click.option("--pause", "change", flag_value="pauseSchedule", help="Start no further runs.")
@click.option(
    "--resume", "change", flag_value="resumeSchedule", help="Start runs again, from now on."
)
@click.option("--reason", help="Why; required to pause or resume.")
@output_option()
@with_api
def schedule(api: ApiClient, ref: str, change: str | None, reason: str | None, output: str) -> None:
    """Show when REF (namespace/name) starts by itself; pause or resume its schedule.

    Exit code 6 for a flow without a schedule.
    """
    if change is not None:
        _change(api, ref, change, reason)
    flow = api.call(_SCHEDULE, {"ref": ref})["flow"]
    found = flow["schedule"]
    if found is None:
        raise NotFound(f"{flow['ref']} does not start by itself: its live version has no schedule")
    if output == "json":
        print_json(found)
    else:
        _print(flow["ref"], found)


def _change(api: ApiClient, ref: str, change: str, reason: str | None) -> None:
    if not reason:
        raise click.UsageError("give the reason: --reason TEXT")
    given = {"input": {"flow": ref, "reason": reason}}
    problems = api.call(_CHANGE % change, given)[change]["problems"]
    if problems:
        print_problems(problems)
        sys.exit(1)


def _print(ref: str, found: dict[str, Any]) -> None:
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
    if found["unmatchedEvents"]:
        click.echo(f"  {found['unmatchedEvents']} events could not be compared")
