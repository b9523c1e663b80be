"""`coe worker`: run the central flows, or one team's own; claim and report a local run by hand."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import click

from coe.cli.api_client import ApiClient, with_api
from coe.cli.documents import document, plain_id
from coe.cli.grammar import Noun, example
from coe.cli.input_files import read_json_input
from coe.cli.output import Result, printed
from coe.cli.settings_option import config_option, settings_from

_CLAIM: Final = document("""
mutation Claim($input: ClaimRunInput!) {
  claimRun(input: $input) {
    claim { attempt heartbeatEvery done input run { ...runLine } }
    problems { ...problem }
  }
}
""")
_REPORT: Final = {
    name: document(
        f"mutation Report($input: {name[0].upper()}{name[1:]}Input!) "
        f"{{ {name}(input: $input) {{ run {{ ...runLine }} problems {{ ...problem }} }} }}"
    )
    for name in ("heartbeatRun", "releaseRun", "reportStep", "reportRun")
}
_attempt = click.option(
    "--attempt",
    required=True,
    type=click.IntRange(0, 2**31 - 1),
    help="As `coe worker claim` says.",
)
_output = click.option("--result", metavar="FILE", help="The JSON output; - is stdin.")
_error = click.option("--error", metavar="FILE", help="The error, as RFC 7807 describes it.")


@click.group(cls=Noun)
def command() -> None:
    """Run the central flows, or a team's own; claim and report a local run by hand."""


@command.command()
@config_option
@example("coe worker central")
def central(config: str | None) -> None:
    """Run the central flows (needs the database, the keys and the Prefect server)."""
    from coe.worker import run_central_worker  # noqa: PLC0415  # Prefect takes seconds to import

    asyncio.run(run_central_worker(settings_from(config)))


@command.command()
@click.argument("team")
@config_option
@example("coe worker team warehouse")
def team(team: str, config: str | None) -> None:
    """Run TEAM's local flows (needs COE_URL, the team's COE_TOKEN and COE_FLOWS_DIR only)."""
    from coe.worker import run_team_worker  # noqa: PLC0415  # Prefect takes seconds to import

    asyncio.run(run_team_worker(settings_from(config), team))


@command.command()
@click.argument("run")
@example("coe worker claim 01a204ad-a69e-70a2-985e-cb36c368b5b1")
@printed()
@with_api
def claim(api: ApiClient, run: str) -> Result:
    """Claim RUN, a local run, as its team's worker does; see its input and its completed steps."""
    answer = api.call(_CLAIM, {"input": {"run": run}})["claimRun"]
    got = answer["claim"]
    view = f"{plain_id(got['run']['id'])} claimed, attempt {got['attempt']}" if got else ()
    return Result(answer, view, problems=answer["problems"], code=0 if got else 1)


@command.command()
@click.argument("run")
@_attempt
@example("coe worker heartbeat 01a204ad-a69e-70a2-985e-cb36c368b5b1 --attempt 1")
@printed()
@with_api
def heartbeat(api: ApiClient, run: str, attempt: int) -> Result:
    """Report that the worker is alive and still has RUN."""
    return _report(api, "heartbeatRun", {"run": run, "attempt": attempt})


@command.command()
@click.argument("run")
@_attempt
@example("coe worker release 01a204ad-a69e-70a2-985e-cb36c368b5b1 --attempt 1")
@printed()
@with_api
def release(api: ApiClient, run: str, attempt: int) -> Result:
    """Give RUN up, so that another worker takes it at once."""
    return _report(api, "releaseRun", {"run": run, "attempt": attempt})


@command.command()
@click.argument("run")
@click.argument("name")
@_attempt
@click.option(
    "--state",
    required=True,
    type=click.Choice(["RUNNING", "COMPLETED", "FAULTED"], case_sensitive=False),
    help="The state of the step.",
)
@_output
@_error
@example("coe worker step 01a204ad-a69e-70a2-985e-cb36c368b5b1 pick --attempt 1 --state RUNNING")
@printed()
@with_api
def step(  # click passes them by keyword
    api: ApiClient,
    run: str,
    name: str,
    attempt: int,
    state: str,
    result: str | None,
    error: str | None,
) -> Result:
    """Report the state of the step NAME of RUN; a completed one is not run again."""
    given = {"run": run, "attempt": attempt, "name": name, "state": state}
    return _report(api, "reportStep", given | _values(result, error))


@command.command()
@click.argument("run")
@_attempt
@_output
@_error
@example("coe worker report 01a204ad-a69e-70a2-985e-cb36c368b5b1 --attempt 1 --result answer.json")
@printed()
@with_api
def report(api: ApiClient, run: str, attempt: int, result: str | None, error: str | None) -> Result:
    """End RUN, a local run, with its output or with its error."""
    if (result is None) == (error is None):
        raise click.UsageError("give --result FILE or --error FILE")
    given = {"run": run, "attempt": attempt}
    return _report(api, "reportRun", given | _values(result, error))


def _values(result: str | None, error: str | None) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if result is not None:
        values["output"] = read_json_input(result)
    if error is not None:
        values["error"] = read_json_input(error)
    return values


def _report(api: ApiClient, mutation: str, given: dict[str, Any]) -> Result:
    answer = api.call(_REPORT[mutation], {"input": given})[mutation]
    run = answer["run"]
    view = f"{plain_id(run['id'])} {run['version']['ref']} {run['state']}" if run else ()
    return Result(answer, view, problems=answer["problems"], code=0 if run else 1)
