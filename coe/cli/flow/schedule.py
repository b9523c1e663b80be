"""`coe flow schedule`, short for `coe schedule show`, `pause` and `resume`."""

from __future__ import annotations

import click

from coe.cli.api_client import ApiClient, with_api
from coe.cli.grammar import example, verb
from coe.cli.output import Result, printed
from coe.cli.schedule import change_schedule, schedule_result


@verb()
@click.argument("ref")
@click.option("--pause", "change", flag_value="pauseSchedule", help="Start no further runs.")
@click.option(
    "--resume", "change", flag_value="resumeSchedule", help="Start runs again, from now on."
)
@click.option("--reason", help="Why; required to pause or resume.")
@example("coe flow schedule sales/tick", "coe flow schedule sales/tick --pause --reason holidays")
@printed()
@with_api
def schedule(api: ApiClient, ref: str, change: str | None, reason: str | None) -> Result:
    """Show when REF (namespace/name) starts by itself; pause or resume its schedule.

    Exit code 6 for a flow without a schedule.
    """
    if change is None:
        return schedule_result(api, ref)
    if not reason:
        raise click.UsageError("give the reason: --reason TEXT")
    return change_schedule(api, change, ref, reason)
