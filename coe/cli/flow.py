"""`coe flow`: check, register and run flows."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any, Final

import click

from coe.cli import offline
from coe.cli.flow_schedule import schedule
from coe.cli.output import output_option, print_json, print_problems
from coe.cli.server import Server, read_text, source_name, with_server
from coe.errors import CoeError

REGISTER: Final = """
mutation Register($input: RegisterFlowInput!) {
  registerFlow(input: $input) {
    version { ref version lifecycle digest }
    flow { ref flowKind }
    problems { code severity message path line column help }
  }
}
"""
LIFECYCLE: Final = """
mutation Move($input: LifecycleInput!) {
  %s(input: $input) {
    version {
      ... on FlowVersion { ref lifecycle }
      ... on TemplateVersion { ref lifecycle }
      ... on DecisionTableVersion { ref lifecycle }
    }
    problems { code severity message path line column help }
  }
}
"""
REVIEW: Final = """
mutation Review($input: ReviewInput!) {
  review(input: $input) {
    version {
      ... on FlowVersion { ref lifecycle }
      ... on TemplateVersion { ref lifecycle }
      ... on DecisionTableVersion { ref lifecycle }
    }
    problems { code severity message path line column help }
  }
}
"""
START: Final = """
mutation Start($input: StartRunInput!) {
  startRun(input: $input) {
    run { id state version { ref } }
    problems { code severity message path line column help }
  }
}
"""
STATE: Final = """
query State($id: ID!) {
  run(id: $id) {
    id state output error { type status title detail }
    version { ref }
    steps { name kind state attempt humanTask { id title candidateRoles state } }
  }
}
"""
RUN_EXITS: Final = {"COMPLETED": 0, "FAULTED": 3, "CANCELLED": 3}
WAITING: Final = 4


@click.group()
def command() -> None:
    """Check, register and run flows."""


for each in (offline.check, offline.diagram, offline.diff, offline.try_flow, schedule):
    command.add_command(each)


@command.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@click.option("--changelog", help="What is new in this version.")
@click.option("--publish", is_flag=True, help="Publish it too, where the policy lets you.")
@output_option()
@with_server
def register(server: Server, file: str, changelog: str | None, publish: bool, output: str) -> None:  # noqa: FBT001  # click hands it by keyword
    """Save FILE, a definition or a local flow's manifest, as a draft version.

    The same content again gives the version that has it.
    """
    answer = server.call(
        REGISTER,
        {"input": {"manifest": read_text(file), "changelog": changelog}},
    )["registerFlow"]
    version = answer["version"]
    if version is not None and publish and version["lifecycle"] == "DRAFT":
        moved = server.call(LIFECYCLE % "publish", {"input": {"ref": version["ref"]}})["publish"]
        answer["problems"] += moved["problems"]
        version["lifecycle"] = (moved["version"] or version)["lifecycle"]
    if output == "json":
        print_json(answer)
    else:
        print_problems(answer["problems"], file)
        if version is not None:
            click.echo(f"{version['ref']} {version['lifecycle']} sha256:{version['digest']}")
    failed = version is None or any(item["severity"] == "ERROR" for item in answer["problems"])
    sys.exit(1 if failed else 0)


@command.command()
@click.argument("ref")
@click.option("--comment", help="For the reviewers.")
@output_option()
@with_server
def submit(server: Server, ref: str, comment: str | None, output: str) -> None:
    """Submit REF (namespace/name@version), a draft, for review."""
    given = {"input": {"ref": ref, "comment": comment}}
    _told_move(server.call(LIFECYCLE % "submitForReview", given)["submitForReview"], output)


@command.command()
@click.argument("ref")
@click.option("--approve/--refuse", required=True, help="Approve it, or send it back to draft.")
@click.option("--comment", required=True, help="Why.")
@output_option()
@with_server
def review(server: Server, ref: str, approve: bool, comment: str, output: str) -> None:  # noqa: FBT001  # click hands it by keyword
    """Approve or refuse REF (namespace/name@version); nobody reviews a version of their own."""
    given = {"input": {"ref": ref, "approve": approve, "comment": comment}}
    _told_move(server.call(REVIEW, given)["review"], output)


@command.command()
@click.argument("ref")
@click.option("--comment", help="What is worth knowing.")
@output_option()
@with_server
def publish(server: Server, ref: str, comment: str | None, output: str) -> None:
    """Publish REF (namespace/name@version), once it is approved."""
    given = {"input": {"ref": ref, "comment": comment}}
    _told_move(server.call(LIFECYCLE % "publish", given)["publish"], output)


def _told_move(answer: dict[str, Any], output: str) -> None:
    if output == "json":
        print_json(answer)
    else:
        print_problems(answer["problems"])
        if answer["version"]:
            click.echo(f"{answer['version']['ref']} {answer['version']['lifecycle']}")
    sys.exit(0 if answer["version"] else 1)


@command.command()
@click.argument("ref")
@click.option("--input", "input_file", default="-", help="A file with the JSON input; - is stdin.")
@click.option("--correlation-id", help="The id under which your business knows this case.")
@click.option(
    "--wait",
    default=60.0,
    show_default=True,
    type=click.FloatRange(0, 86400),
    help="Seconds to wait for the end; 0 only starts it.",
)
@output_option()
@with_server
def run(
    server: Server,
    ref: str,
    input_file: str,
    correlation_id: str | None,
    wait: float,
    output: str,
) -> None:
    """Start a run of REF (namespace/name[@version]) and wait for its end.

    Exit code 0 completed, 3 faulted or cancelled, 4 still going or waiting for somebody.
    """
    value = _json(input_file)
    asked = {"flow": ref, "input": value, "correlationId": correlation_id}
    started = server.call(START, {"input": asked})["startRun"]
    if started["run"] is None:
        print_problems(started["problems"])
        sys.exit(1)
    state = _follow(server, started["run"], wait)
    if output == "json":
        print_json(state)
    else:
        _tell(state)
    sys.exit(RUN_EXITS.get(state["state"], WAITING))


def _follow(server: Server, run: dict[str, Any], wait: float) -> dict[str, Any]:
    deadline = time.monotonic() + wait
    pause = 0.2
    while run["state"] not in RUN_EXITS and time.monotonic() < deadline:
        time.sleep(pause)
        pause = min(2.0, pause * 1.3)
        run = server.call(STATE, {"id": run["id"]})["run"]
        if any((step["humanTask"] or {}).get("state") == "OPEN" for step in run["steps"]):
            break
    return run


def _tell(state: dict[str, Any]) -> None:
    click.echo(f"{state['id']} {state['version']['ref']} {state['state']}")
    for step in state.get("steps", []):
        click.echo(f"  {step['state']:<10} {step['kind']:<12} {step['name']}")
        task = step["humanTask"]
        if task and task["state"] in {"OPEN", "CLAIMED"}:
            click.echo(f"             waits for {', '.join(task['candidateRoles'])}")
    if state.get("error"):
        error = state["error"]
        click.echo(f"error: {error['title']} ({error['type']}, {error['status']})", err=True)


@command.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--case", metavar="TEXT", help="Only the tests that have this in their name.")
@click.option(
    "--standards",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file of standards, with the bound of coverage (COE060), instead of the shipped one.",
)
@click.option(
    "--decisions",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The folder of decision tables; by default the nearest catalog/decisions.",
)
@output_option("junit")
def test(
    folders: tuple[Path, ...],
    case: str | None,
    standards: Path | None,
    decisions: Path | None,
    output: str,
) -> None:
    """Run the tests of the flows and templates at or below FOLDERS, on a simulated clock.

    Exit code 0 if all pass and reach what the standards ask for, 1 if not.
    """
    from coe.cli.telling_tests import FORMATS  # noqa: PLC0415  # the machine is slow to import
    from coe.cli.testing import run_folders  # noqa: PLC0415  # the same

    ran = run_folders(folders, only=case, standards=standards, decisions=decisions)
    click.echo(FORMATS[output](ran), nl=False)
    sys.exit(0 if ran.passed else 1)


def _json(file: str | None) -> Any:
    if file is None:
        return None
    try:
        return json.loads(read_text(file))
    except ValueError as error:
        message = f"{source_name(file)} is no JSON: {error}"
        raise CoeError(message, code="INVALID") from None
