"""`coe flow`: check, register and run flows."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any, Final

import click

from coe.cli.output import output_option, print_json, print_problems
from coe.cli.server import Server, read_text, with_server
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
    version { ... on FlowVersion { ref lifecycle } }
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


@command.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@output_option("sarif")
def check(files: tuple[Path, ...], output: str) -> None:
    """Check definitions and manifests, offline: the language and the standards.

    Exit code 0 without errors, 1 with.
    """
    from coe.cli.checking import check_files, has_errors, render  # noqa: PLC0415  # YAML is slow

    found = check_files(files)
    click.echo(render(found, output), nl=False)
    sys.exit(1 if has_errors(found) else 0)


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
    try:
        value = json.loads(read_text(input_file))
    except ValueError as error:
        raise CoeError(f"{input_file} is no JSON: {error}", code="INVALID") from None
    asked = {"flow": ref, "input": value, "correlationId": correlation_id}
    started = server.call(START, {"input": asked})["startRun"]
    if started["run"] is None:
        print_problems(started["problems"], input_file)
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
