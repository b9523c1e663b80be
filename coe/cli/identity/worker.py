"""`coe worker`: run the central flows, or one team's own; enrol, list and revoke teams' workers."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import click

from coe.cli.api_client import ApiClient, connect, from_file, server_options, with_api
from coe.cli.documents import document, plain_id
from coe.cli.grammar import Noun, example
from coe.cli.input_files import read_option_value
from coe.cli.new_files import ask_secret
from coe.cli.output import Result, Table, printed
from coe.cli.pages import Page, fetch, notes_on, paged
from coe.cli.settings_option import config_option, settings_from
from coe.identifiers import is_slug

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
_CODE: Final = document("""
mutation Code($team: String!) {
  createEnrolmentCode(team: $team) { code team expiresAt problems { ...problem } }
}
""")
_LIST: Final = """
query Workers($team: String!, $active: Boolean, $first: Int!, $after: String) {
  workers(team: $team, active: $active, first: $first, after: $after) {
    totalCount
    pageInfo { hasNextPage endCursor }
    nodes {
      id name team subject enrolledBy enrolledAt renewedAt expiresAt address lastSeenAt lastAddress
      revokedAt revokedBy active
    }
  }
}
"""
_REVOKE: Final = document("""
mutation Revoke($id: ID!, $reason: String!) {
  revokeWorker(id: $id, reason: $reason) { id problems { ...problem } }
}
""")
_attempt = click.option(
    "--attempt",
    required=True,
    type=click.IntRange(0, 2**31 - 1),
    help="As `coe worker claim` says.",
)
_output = click.option(
    "--result",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True),
    help="A file with the output, JSON or YAML; - is stdin.",
)
_error = click.option(
    "--error",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True),
    help="The error, as RFC 7807 describes it.",
)


@click.group(cls=Noun)
def command() -> None:
    """Run the central flows, or a team's own; enrol, list and revoke teams' workers."""


@command.command()
@config_option
@example("coe worker central")
def central(config: str | None) -> None:
    """Run the central flows (needs the database, the keys and the Prefect server)."""
    from coe.worker import run_central_worker  # noqa: PLC0415  # Prefect takes seconds to import

    asyncio.run(run_central_worker(settings_from(config, process=True)))


@command.command()
@click.argument("team")
@config_option
@example("coe worker team warehouse")
def team(team: str, config: str | None) -> None:
    """Run TEAM's local flows (needs COE_URL, COE_FLOWS_DIR and the key with which it enrolled).

    With COE_WORKER_CODE it enrols itself where it has no key yet.
    """
    from coe.worker import run_team_worker  # noqa: PLC0415  # Prefect takes seconds to import

    asyncio.run(run_team_worker(settings_from(config, process=True), team))


@command.command()
@click.argument("team")
@click.option(
    "--operator",
    is_flag=True,
    help="With the database in place of the API: before a lead of the team has signed in.",
)
@config_option
@server_options
@example("coe worker code warehouse", "coe worker code warehouse --operator")
@printed()
def code(
    team: str,
    operator: bool,  # noqa: FBT001  # click passes it by keyword
    config: str | None,
    url: str | None,
    token: str | None,
    profile: str | None,
) -> Result:
    """Make a one-time code with which a worker of TEAM enrols; it is printed only once."""
    if operator:
        from coe.bootstrap import operator_enrolment_code  # noqa: PLC0415  # SQLAlchemy is slow to import

        made = asyncio.run(operator_enrolment_code(settings_from(config), team))
        return Result({"code": made}, made)
    with connect(url, token, profile) as api:
        answer = api.call(_CODE, {"team": team})["createEnrolmentCode"]
    made = answer["code"]
    notes = [f"good until {answer['expiresAt']}, once: coe worker enrol {team}"] if made else []
    return Result(answer, made or (), notes, problems=answer["problems"], code=0 if made else 1)


@command.command()
@click.argument("team")
@click.option(
    "--code",
    envvar="COE_WORKER_CODE",
    metavar="CODE",
    callback=from_file,
    help="The code; else it is asked.",
)
@click.option("--name", help="What the worker is called in lists; by default this host's name.")
@config_option
@example("coe worker enrol warehouse --code coew_…")
@printed()
def enrol(team: str, code: str | None, name: str | None, config: str | None) -> Result:
    """Make a key for a worker of TEAM on this machine, and have it enrolled with a one-time code.

    The private key stays here, in `workers/TEAM.json` of COE_DATA_DIR, which only you may read.
    """
    from coe.identity.worker_identity import enrol_here  # noqa: PLC0415  # httpx is slow to import

    if not is_slug(team):
        raise click.BadParameter(
            "a team is named by its slug, such as warehouse", param_hint="TEAM"
        )
    code = code or ask_secret("Code", "--code or COE_WORKER_CODE")
    if not str(code).isprintable():
        raise click.BadParameter("this is no code: it begins with coew_", param_hint="--code")
    settings = settings_from(config)
    file, made = asyncio.run(enrol_here(settings, team, code=str(code).strip(), name=name))
    answer = {"worker": made.credential, "team": team, "issuer": made.issuer, "file": str(file)}
    return Result(answer, f"{made.credential} of {team}, its key is in {file}")


@command.command()
@click.argument("team")
@config_option
@example("coe worker renew warehouse")
@printed()
def renew(team: str, config: str | None) -> Result:
    """Put a new key in the place of that of TEAM's worker on this machine.

    The old key is worth nothing from then on. Workers that run take the new one by themselves; and
    they renew it themselves after COE_WORKER_KEY_DAYS.
    """
    from coe.identity.worker_identity import renew_here  # noqa: PLC0415  # httpx is slow to import

    file, made = asyncio.run(renew_here(settings_from(config), team))
    answer = {"worker": made.credential, "team": team, "issuer": made.issuer, "file": str(file)}
    return Result(answer, f"{made.credential} of {team} has a new key in {file}")


@command.command("list")
@click.argument("team")
@click.option("--active/--inactive", default=None, help="Only those whose key is good, or is not.")
@paged()
@example("coe worker list warehouse --active")
@printed()
@with_api
def list_workers(api: ApiClient, team: str, active: bool | None, page: Page) -> Result:  # noqa: FBT001  # click passes it by keyword
    """List the workers that enrolled for TEAM, the newest first; the reading is recorded."""
    found = fetch(api, _LIST, {"team": team, "active": active}, page, "workers")
    rows = [
        row | {"worker": plain_id(row["id"]), "seen": row["lastSeenAt"], "from": row["lastAddress"]}
        for row in found["nodes"]
    ]
    columns = ["name", "active", "enrolledBy", "enrolledAt", "seen", "from", "worker"]
    return Result(found, Table(rows, columns, "No workers."), notes_on(found))


@command.command()
@click.argument("id")
@click.option("--reason", required=True, help="Why.")
@example("coe worker revoke 01a204ad-a69e-70a2-985e-cb36c368b5b1 --reason 'the machine is sold'")
@printed()
@with_api
def revoke(api: ApiClient, id: str, reason: str) -> Result:  # noqa: A002  # the argument's name
    """Make the key of the worker ID worthless from now on."""
    answer = api.call(_REVOKE, {"id": id, "reason": reason})["revokeWorker"]
    done = answer["id"]
    view = f"{plain_id(done)} is revoked" if done else ()
    return Result(answer, view, problems=answer["problems"], code=0 if done else 1)


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
        values["output"] = read_option_value("--result", result)
    if error is not None:
        values["error"] = read_option_value("--error", error)
    return values


def _report(api: ApiClient, mutation: str, given: dict[str, Any]) -> Result:
    answer = api.call(_REPORT[mutation], {"input": given})[mutation]
    run = answer["run"]
    view = f"{plain_id(run['id'])} {run['version']['ref']} {run['state']}" if run else ()
    return Result(answer, view, problems=answer["problems"], code=0 if run else 1)
