"""`coe flow try`."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from coe.cli.flow.trial_output import missing_lines, trial_lines
from coe.cli.grammar import example, verb
from coe.cli.input_files import read_option_value, read_text_input, source_name
from coe.cli.output import Result, printed
from coe.cli.run.follow import exit_code
from coe.errors import CoeError
from coe.formats import instants

if TYPE_CHECKING:
    from coe.json_types import JSON


def _pair(_: click.Context, __: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for each in given:
        host, equals, url = each.partition("=")
        if not host or not equals or not url.startswith(("http://", "https://")):
            raise click.BadParameter(
                f"{each!r} is not HOST=URL, such as erp.example.com=http://[::1]:80"
            )
        pairs[host] = url.rstrip("/")
    return pairs


def _moment(_: click.Context, __: click.Parameter, given: str | None) -> datetime | None:
    if given is None:
        return None
    try:
        return instants.read_day_or_instant(given)
    except ValueError:
        raise click.BadParameter(f"{given!r} is neither a date nor {instants.WANTED}") from None


def _value(_: click.Context, __: click.Parameter, file: str | None) -> JSON:
    return None if file is None else read_option_value("--input", file)


def _text(_: click.Context, __: click.Parameter, file: str | None) -> tuple[str, str] | None:
    try:
        return None if file is None else (source_name(file), read_text_input(file))
    except CoeError as error:
        raise click.BadParameter(str(error)) from None


@verb("try")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--input",
    "value",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True),
    callback=_value,
    help="A file with the input, JSON or YAML; - is stdin.",
)
@click.option(
    "--stub",
    "stubs",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True),
    callback=_text,
    help="A file with stubs: answers of leaves, people and events.",
)
@click.option(
    "--resolve",
    multiple=True,
    metavar="HOST=URL",
    callback=_pair,
    help="Make the calls to HOST, and send them to URL; loopback addresses are reached only so.",
)
@click.option(
    "--live", is_flag=True, help="Make every call that has no stub. Without it, none leaves."
)
@click.option("--trace", "data", is_flag=True, help="Show the data and the times of each step.")
@click.option(
    "--now",
    metavar="TIME",
    callback=_moment,
    help="When the run starts: a day (its start, UTC) or RFC 3339.",
)
@click.option(
    "--decisions",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The folder of decision tables; by default the nearest catalog/decisions.",
)
@example("coe flow try order.yaml --input order.json --stub stubs.yaml")
@printed()
def try_flow(
    file: Path,
    *,
    value: JSON,
    stubs: tuple[str, str] | None,
    resolve: dict[str, str],
    live: bool,
    data: bool,
    now: datetime | None,
    decisions: Path | None,
) -> Result:
    """Run FILE in this process, on a simulated clock, without a server.

    Timers fire at once, in their order. Nothing leaves the process: a step that no stub answers
    waits, and the stubs that are missing are printed, ready to copy. --resolve lets calls to its
    hosts be made, --live all calls. Exit code 0 completed, 3 faulted, 4 waiting; 1 for a
    definition with problems, 2 for wrong usage.
    """
    from coe.cli.flow.local_trial import BadValue, try_file  # noqa: PLC0415  # YAML and httpx are slow

    try:
        trial = try_file(
            file,
            value=value,
            stubs=stubs[1] if stubs else None,
            resolve=resolve,
            live=live,
            now=now,
            decisions=decisions,
        )
    except BadValue as error:
        where = f"{stubs[0]}: " if stubs else ""
        raise click.BadParameter(f"{where}{error}", param_hint="--stub") from None
    trace: dict[str, Any] = trial.trace.to_json()
    lines = list(trial_lines(trace, data=data))
    notes = [f"note: {note}" for note in trial.notes]
    if trace["state"] == "WAITING":
        notes += missing_lines(trace["missing"])
    return Result(trace, lines, notes, code=exit_code(trace["state"]))
