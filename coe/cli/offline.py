"""`coe flow check`, `try`, `diagram` and `diff`: what is done to files, without a server."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from coe.cli.output import output_option, print_json, problem_line
from coe.cli.server import read_text
from coe.errors import CoeError

if TYPE_CHECKING:
    from coe.json_types import JSON

TRY_EXITS: Final = {"COMPLETED": 0, "FAULTED": 3, "CANCELLED": 3}
WAITING: Final = 4


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@output_option("sarif")
def check(files: tuple[Path, ...], output: str) -> None:
    """Check definitions and manifests, offline: the language and the standards.

    A folder stands for the flows in it. Exit code 0 without errors, 1 with; a file that cannot be
    read is an error too.
    """
    from coe.cli.checking import check_files, has_errors, render  # noqa: PLC0415  # YAML is slow

    found = check_files(files)
    click.echo(render(found, output), nl=False)
    sys.exit(1 if has_errors(found) else 0)


# ---------------------------------------------------------------- try
def _pair(_: click.Context, __: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for each in given:
        host, equals, url = each.partition("=")
        if not host or not equals or not url.startswith(("http://", "https://")):
            raise click.BadParameter(
                f"{each!r} is not HOST=URL, as erp.example.com=http://[::1]:80"
            )
        pairs[host] = url.rstrip("/")
    return pairs


def _moment(_: click.Context, __: click.Parameter, given: str | None) -> datetime | None:
    if given is None:
        return None
    try:
        moment = datetime.fromisoformat(given)
    except ValueError:
        message = f"{given!r} is no ISO 8601 time, as 2026-01-05T09:00:00Z"
        raise click.BadParameter(message) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _value(_: click.Context, __: click.Parameter, file: str | None) -> JSON:
    from coe.cli.trying import BadValue, read_value  # noqa: PLC0415  # YAML is slow

    try:
        return None if file is None else read_value(read_text(file))
    except (BadValue, CoeError) as error:
        raise click.BadParameter(str(error)) from None


def _text(_: click.Context, __: click.Parameter, file: str | None) -> str | None:
    try:
        return None if file is None else read_text(file)
    except CoeError as error:
        raise click.BadParameter(str(error)) from None


@click.command("try")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--input",
    "value",
    metavar="FILE",
    callback=_value,
    help="A file with the input, JSON or YAML; - is stdin.",
)
@click.option(
    "--stub",
    "stubs",
    metavar="FILE",
    callback=_text,
    help="A file with answers for leaves, humans and events.",
)
@click.option(
    "--resolve",
    multiple=True,
    metavar="HOST=URL",
    callback=_pair,
    help="Send a host's requests there; the one way to a loopback address.",
)
@click.option(
    "--now",
    metavar="TIME",
    callback=_moment,
    help="When the run starts, ISO 8601; UTC without a time zone.",
)
@click.option(
    "--decisions",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The folder of decision tables; by default the nearest catalog/decisions.",
)
@output_option()
def try_flow(
    file: Path,
    value: JSON,
    stubs: str | None,
    resolve: dict[str, str],
    now: datetime | None,
    decisions: Path | None,
    output: str,
) -> None:
    """Run FILE in this process, on a simulated clock, without a server.

    Timers go off at once, in their order; calls without a stub are really made; what asks a
    person, a flow or an event that no stub answers waits. Exit code 0 completed, 3 faulted,
    4 waiting; 1 for a definition with problems, 2 for wrong usage.
    """
    from coe.cli.trying import BadValue, try_file  # noqa: PLC0415  # YAML and httpx are slow

    try:
        tried = try_file(file, value=value, stubs=stubs, resolve=resolve, now=now, at=decisions)
    except BadValue as error:
        raise click.BadParameter(str(error), param_hint="--stub") from None
    trace: dict[str, Any] = tried.trace.to_json()
    for note in tried.notes:
        click.echo(f"note: {note}", err=True)
    if output == "json":
        print_json(trace)
    else:
        for step in trace["steps"]:
            click.echo(f"{step['state']:<10} {step['kind']:<10} {step['name']}")
        told = trace["output"] if trace["error"] is None else trace["error"]
        click.echo(f"{trace['state']}: {json.dumps(told, ensure_ascii=False)}")
    sys.exit(TRY_EXITS.get(str(trace["state"]), WAITING))


# ---------------------------------------------------------------- diagram and diff
@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--to",
    type=click.Choice(["mermaid", "svg"]),
    default="mermaid",
    show_default=True,
    help="What to draw.",
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, allow_dash=True),
    default="-",
    help="Where to write it; - is stdout.",
)
def diagram(file: Path, to: str, output: str) -> None:
    """Draw FILE, a definition or a manifest, as a Mermaid flowchart or as SVG."""
    from coe.cli.comparing import draw  # noqa: PLC0415  # YAML is slow

    drawn = draw(file, to)
    try:
        with click.open_file(output, "w", encoding="utf-8") as opened:
            opened.write(drawn)
    except OSError as error:
        message = f"{output} cannot be written: {error.strerror}"
        raise click.BadParameter(message, param_hint="--output") from None


@click.command()
@click.argument("old", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("new", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@output_option()
def diff(old: Path, new: Path, output: str) -> None:
    """Compare two versions of one flow by steps, and tell the version step that is due.

    Exit code 0, and 1 if NEW breaks a caller of OLD: an input that is narrower, an output that is
    wider or lacks something, an error type that is new.
    """
    from coe.cli.comparing import compare  # noqa: PLC0415  # YAML is slow

    told = compare(old, new)
    if output == "json":
        print_json(told)
    else:
        for change in told["changes"]:
            click.echo(problem_line(change, str(new)))
        verdict = "breaking" if told["breaking"] else "not breaking"
        step = told["asks"]
        click.echo(f"{verdict}: asks for {f'a {step}' if step != 'none' else 'no'} version step")
    sys.exit(1 if told["breaking"] else 0)
