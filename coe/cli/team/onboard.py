"""`coe team onboard`, `checklist`, `offboard`: a team's start and its end."""

from __future__ import annotations

from typing import Any, Final

import click

from coe.cli.api_client import ApiClient, with_api
from coe.cli.documents import document
from coe.cli.form import read_values, values_options
from coe.cli.grammar import Verb, example
from coe.cli.output import Result, Table, View, printed
from coe.errors import CoeError, NotFound

TEMPLATE: Final = "coe/incident-review"
"""A template of which every parameter has a default."""
_STEPS: Final = "steps { key title state who command names }"
_ONBOARD: Final = document(f"""
mutation Onboard($input: OnboardTeamInput!) {{
  onboardTeam(input: $input) {{
    team {{ slug name }} {_STEPS} enrolmentCode problems {{ ...problem }}
  }}
}}
""")
_PARAMETERS: Final = """
query Parameters($ref: String!, $version: String) {
  template(ref: $ref) { ref version(ref: $version) { ref parameters } }
}
"""
_CHECKLIST: Final = """
query Checklist($team: String!) { teamChecklist(team: $team) { title done who command } }
"""
_ENDING: Final = """
query Ending($team: String!) { teamEnding(team: $team) { key title state who command names } }
"""
_RETIRE: Final = document(f"""
mutation Retire($team: String!, $reason: String!, $flows: Boolean!, $runs: Boolean!) {{
  retireTeam(team: $team, reason: $reason, retireFlows: $flows, cancelRuns: $runs) {{
    team {{ slug state }} retired {_STEPS} problems {{ ...problem }}
  }}
}}
""")
_NOT_YET: Final = 8
"""The exit code of a conflict: the team is not retired yet."""


@click.command(cls=Verb)
@click.argument("team")
@click.option("--name", help="Its name for people; a new team needs one.")
@click.option("--lead", help="Who leads it; a second person approves that.")
@click.option("--developer", "developers", multiple=True, help="Who builds its flows; repeatable.")
@click.option("--domain", help="Its domain, such as order-to-cash.")
@click.option("--contact", help="How to reach it.")
@click.option(
    "--template",
    help=f"The template of its first flow (namespace/name[@version]); by default {TEMPLATE}.",
)
@click.option("--flow", help="The name of its first flow; by default the template's.")
@click.option("--process-owner", help="Who answers for that flow; by default the lead.")
@click.option("--no-flow", is_flag=True, help="Make no flow.")
@click.option("--no-worker", is_flag=True, help="Make no code for its worker.")
@click.option("--reason", default="a new team", show_default=True, help="Why.")
@values_options("parameters", "the parameters of the template")
@example(
    "coe team onboard returns --name Returns --lead rosa --developer ines",
    "coe team onboard returns",
    "coe team onboard returns --no-worker --template coe/purchase-approval --set dueIn=P2D",
)
@printed()
@with_api
def onboard(
    api: ApiClient, /, team: str, file: str | None, pairs: tuple[str, ...], **given: Any
) -> Result:
    """Do the first steps of the team TEAM that you may do; say who does the rest.

    The team with its lead, its worker and its work pool; a code with which the worker enrols; the
    first flow, from a template, as a draft. A lead waits for a second person. Run it again, as
    whoever the steps name: what is done stays, and it goes on.
    """
    flow = None if given["no_flow"] else _flow(api, given, file, pairs)
    fields = {name: given[name] for name in ("name", "lead", "domain", "contact", "reason")}
    more = {"team": team, "developers": list(given["developers"]), "flow": flow}
    answer = api.call(_ONBOARD, {"input": {**fields, **more, "enrols": not given["no_worker"]}})
    done = answer["onboardTeam"]
    if done["team"] is None:
        return Result(done, (), problems=done["problems"], code=1)
    notes = []
    if done["enrolmentCode"]:
        notes = [f"shown once, good for half an hour: coe worker enrol {team}"]
        view: list[View] = [
            f"the code of the worker: {done['enrolmentCode']}",
            "",
            _steps(done["steps"]),
        ]
        return Result(done, view, notes, problems=done["problems"])
    return Result(done, _steps(done["steps"]), notes, problems=done["problems"])


@click.command(cls=Verb)
@click.argument("team")
@example("coe team checklist returns")
@printed()
@with_api
def checklist(api: ApiClient, team: str) -> Result:
    """Show the steps from the new TEAM to its first run: what is done, and who does the rest."""
    found = api.call(_CHECKLIST, {"team": team})["teamChecklist"]
    return Result(found, Table(found, ["done", "title", "who", "command"], "Nothing."))


@click.command(cls=Verb)
@click.argument("team")
@click.option("--reason", help="Why; without it the steps are only shown.")
@click.option("--retire-flows", is_flag=True, help="Retire its flows, tables and templates.")
@click.option("--cancel-runs", is_flag=True, help="Cancel its open runs.")
@example(
    "coe team offboard returns",
    "coe team offboard returns --retire-flows --cancel-runs --reason 'finance does it now'",
)
@printed()
@with_api
def offboard(
    api: ApiClient,
    team: str,
    reason: str | None,
    retire_flows: bool,  # noqa: FBT001  # click passes it by keyword
    cancel_runs: bool,  # noqa: FBT001  # the same
) -> Result:
    """Settle of the team TEAM what you may; retire it when nothing is left.

    Without a reason it shows what is open, who settles it, and what ends with the team. Run it
    again, as whoever the steps name. The team's namespace stays taken.
    """
    if reason is None:
        if retire_flows or cancel_runs:
            raise click.UsageError("say why: --reason")
        found = api.call(_ENDING, {"team": team})["teamEnding"]
        return Result(found, _steps(found))
    given = {"team": team, "reason": reason, "flows": retire_flows, "runs": cancel_runs}
    answer = api.call(_RETIRE, given)["retireTeam"]
    done = answer["team"]
    if done is None:
        return Result(answer, (), problems=answer["problems"], code=1)
    notes = [] if answer["retired"] else [f"{team} is not retired yet: see the steps"]
    view: list[View] = [f"{done['slug']}: {done['state']}", "", _steps(answer["steps"])]
    code = 0 if answer["retired"] else _NOT_YET
    return Result(answer, view, notes, problems=answer["problems"], code=code)


def _flow(
    api: ApiClient, given: dict[str, Any], file: str | None, pairs: tuple[str, ...]
) -> dict[str, Any] | None:
    """The first flow, with the parameters that its template takes.

    None if no template is named, and there is none of the default name.
    """
    ref = given["template"] or TEMPLATE
    name, _, version = ref.partition("@")
    try:
        found = api.call(_PARAMETERS, {"ref": name, "version": version or None})["template"]
        if found is None or found["version"] is None:
            raise NotFound(f"there is no template {ref}, or you may not read it")
    except CoeError as error:
        if given["template"] is None and error.code == NotFound.code:
            return None
        raise
    parameters = read_values(found["version"]["parameters"], file=file, pairs=pairs)
    return {
        "template": ref,
        "name": given["flow"] or name.partition("/")[2],
        "parameters": parameters,
        "processOwner": given["process_owner"],
    }


def _steps(steps: list[dict[str, Any]]) -> Table:
    rows = [step | {"step": _named(step)} for step in steps]
    return Table(rows, ["state", "step", "who", "command"], "Nothing.")


def _named(step: dict[str, Any]) -> str:
    return f"{step['title']} ({', '.join(step['names'])})" if step["names"] else str(step["title"])
