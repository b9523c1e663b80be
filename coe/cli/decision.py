"""`coe decision`: check, try, test, publish and replay decision tables."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

from coe.cli.output import output_option, print_json, print_problems
from coe.cli.server import Server, read_text, source_name, with_server
from coe.errors import CoeError

_PROBLEMS: Final = "problems { code severity message path line column help }"
REGISTER: Final = """
mutation Register($input: RegisterDecisionInput!) {
  registerDecision(input: $input) { version { ref lifecycle digest } %s }
}
""".replace("%s", _PROBLEMS)
MOVE: Final = """
mutation Move($input: %s!) {
  %s(input: $input) { version { ... on DecisionTableVersion { ref lifecycle } } PROBLEMS }
}
""".replace("PROBLEMS", _PROBLEMS)
REPLAY: Final = """
query Replay($input: ReplayDecisionInput!) {
  replayDecision(input: $input) {
    same otherRules changed failed totalCount hiddenCount
    pageInfo { hasNextPage endCursor }
    nodes {
      sameOutcome
      case { id decision flow at run { id } }
      before { output rules failure }
      after { output rules failure }
    }
  }
}
"""
_COUNTS: Final = ("same", "otherRules", "changed", "failed")
PART: Final = 500
"""Cases that are asked for at a time."""


@click.group()
def command() -> None:
    """Check, try, test and publish decision tables; see what a new version changes."""


@command.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@output_option("sarif")
def check(files: tuple[Path, ...], output: str) -> None:
    """Check decision tables, offline: their form, gaps, overlaps, and rules that never fire.

    Exit code 0 without errors, 1 with.
    """
    from coe.cli.decision_files import check_files, has_errors, render  # noqa: PLC0415  # YAML is slow

    found = check_files(files)
    click.echo(render(found, output), nl=False)
    sys.exit(1 if has_errors(found) else 0)


@command.command("try")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--input", "input_file", default="-", help="A file with the JSON input; - is stdin.")
@output_option()
def try_table(file: Path, input_file: str, output: str) -> None:
    """Ask the table in FILE about one case, offline; exit 1 if it has no answer."""
    from coe.cli.decision_files import as_text, decide  # noqa: PLC0415  # YAML is slow

    try:
        data = json.loads(read_text(input_file))
    except ValueError as error:
        message = f"{source_name(input_file)} is no JSON: {error}"
        raise CoeError(message, code="INVALID") from None
    told = decide(file, data)
    if output == "json":
        print_json(told)
        return
    rules: Any = told.pop("rules")
    ref, _ = told.pop("decision"), told.pop("digest")
    for name, value in told.items():
        click.echo(f"{name}: {as_text(value)}")
    click.echo(f"by {', '.join(rules) or 'no rule'} of {ref}")


@command.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@output_option()
def test(folders: tuple[Path, ...], output: str) -> None:
    """Run the tests.yaml beside tables at or below FOLDERS, offline.

    Exit code 1 if a test fails, a table has errors, or a rule is never let fire.
    """
    from coe.cli.decision_files import test_folders  # noqa: PLC0415  # YAML is slow

    tested = test_folders(folders)
    if output == "json":
        print_json([each.to_json() for each in tested])
    else:
        for each in tested:
            for line in each.lines():
                click.echo(line)
    sys.exit(0 if all(each.passed for each in tested) else 1)


@command.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@click.option("--changelog", help="What is new in this version.")
@output_option()
@with_server
def register(server: Server, file: str, changelog: str | None, output: str) -> None:
    """Save the table in FILE as a draft version; the same content again gives the same version."""
    given = {"input": {"manifest": read_text(file), "changelog": changelog}}
    answer = server.call(REGISTER, given)["registerDecision"]
    version = answer["version"]
    if output == "json":
        print_json(answer)
    else:
        print_problems(answer["problems"], file)
        if version is not None:
            click.echo(f"{version['ref']} {version['lifecycle']} sha256:{version['digest']}")
    sys.exit(0 if version is not None else 1)


@command.command()
@click.argument("ref")
@click.option("--comment", help="For the reviewers.")
@output_option()
@with_server
def submit(server: Server, ref: str, comment: str | None, output: str) -> None:
    """Submit REF (namespace/name@version), a draft, for review."""
    _move(server, "submitForReview", {"ref": ref, "comment": comment}, output)


@command.command()
@click.argument("ref")
@click.option("--approve/--refuse", required=True, help="Approve it, or send it back to draft.")
@click.option("--comment", required=True, help="Why.")
@output_option()
@with_server
def review(server: Server, ref: str, approve: bool, comment: str, output: str) -> None:  # noqa: FBT001  # click hands it by keyword
    """Approve or refuse REF (namespace/name@version); nobody reviews a version of their own."""
    _move(server, "review", {"ref": ref, "approve": approve, "comment": comment}, output)


@command.command()
@click.argument("ref")
@click.option("--comment", help="What is worth knowing.")
@output_option()
@with_server
def publish(server: Server, ref: str, comment: str | None, output: str) -> None:
    """Publish REF (namespace/name@version), once it is approved."""
    _move(server, "publish", {"ref": ref, "comment": comment}, output)


def _move(server: Server, name: str, given: dict[str, Any], output: str) -> None:
    kind = "ReviewInput" if name == "review" else "LifecycleInput"
    answer = server.call(MOVE % (kind, name), {"input": given})[name]
    if output == "json":
        print_json(answer)
    else:
        print_problems(answer["problems"])
        if answer["version"]:
            click.echo(f"{answer['version']['ref']} {answer['version']['lifecycle']}")
    sys.exit(0 if answer["version"] else 1)


@command.command()
@click.argument("ref")
@click.option("--from", "since", help="Cases from this time on, ISO 8601; a day is its start, UTC.")
@click.option("--to", "until", help="Cases before this time.")
@click.option("--flow", "flows", multiple=True, help="Only cases of runs of this flow.")
@output_option()
@with_server
def replay(
    server: Server,
    ref: str,
    since: str | None,
    until: str | None,
    flows: tuple[str, ...],
    output: str,
) -> None:
    """Run past cases on REF (namespace/name@version), mostly a draft: which outcomes change?

    Exit code 0 if none does, 1 if some do.
    """
    given: dict[str, Any] = {
        "ref": ref,
        "after": _moment(since, "--from"),
        "before": _moment(until, "--to"),
        "flows": list(flows) or None,
        "first": PART,
    }
    counts, hidden, changed = _all_parts(server, given)
    if output == "json":
        print_json({**counts, "hidden": hidden, "cases": changed})
    else:
        for each in changed:
            _tell(each)
        click.echo(
            f"{sum(counts.values())} cases: {counts['same']} the same, "
            f"{counts['otherRules']} by other rules, {counts['changed']} changed, "
            f"{counts['failed']} without an answer",
        )
        if hidden:
            click.echo(f"{hidden} more are of runs whose data you may not read", err=True)
    sys.exit(1 if counts["changed"] or counts["failed"] else 0)


def _all_parts(
    server: Server, given: dict[str, Any]
) -> tuple[dict[str, int], int | None, list[Any]]:
    """The counts over all parts, how many cases are hidden, and those that change."""
    counts = dict.fromkeys(_COUNTS, 0)
    changed: list[Any] = []
    hidden: int | None = None
    more, cursor = True, None
    while more:
        part = server.call(REPLAY, {"input": given | {"cursor": cursor}})["replayDecision"]
        for name in _COUNTS:
            counts[name] += part[name]
        changed += part["nodes"]
        hidden = part["hiddenCount"]
        more, cursor = part["pageInfo"]["hasNextPage"], part["pageInfo"]["endCursor"]
    return counts, hidden, changed


def _tell(item: dict[str, Any]) -> None:
    case = item["case"]
    click.echo(f"{case['at']} {case['flow']} run {case['run']['id']}")
    for word, outcome in (("before", item["before"]), ("after", item["after"])):
        said = outcome["failure"] or json.dumps(outcome["output"], ensure_ascii=False)
        click.echo(f"  {word:<6} {said} by {', '.join(outcome['rules']) or 'no rule'}")


def _moment(given: str | None, option: str) -> str | None:
    if given is None:
        return None
    try:
        moment = datetime.fromisoformat(given)
    except ValueError:
        raise CoeError(f"{option} takes ISO 8601, not {given!r}", code="INVALID") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).isoformat()
