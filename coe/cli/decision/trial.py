"""`coe decision try`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from coe.cli.grammar import example, verb
from coe.cli.input_files import read_option_value
from coe.cli.output import Result, printed


@verb("try")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--input",
    "input_file",
    default="-",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True),
    help="A file with the input, JSON or YAML; - is stdin.",
)
@example("coe decision try limit.yaml --input case.json")
@printed()
def try_table(file: Path, input_file: str) -> Result:
    """Decide one case with the table in FILE, offline; exit code 1 if no rule gives an answer."""
    from coe.cli.decision.table_files import decide, one_line  # noqa: PLC0415  # YAML is slow to import

    outcome = decide(file, read_option_value("--input", input_file))
    rules: Any = outcome["rules"]
    hidden = {"rules", "decision", "digest"}
    lines = [f"{name}: {one_line(value)}" for name, value in outcome.items() if name not in hidden]
    return Result(outcome, [*lines, f"by {', '.join(rules) or 'no rule'} of {outcome['decision']}"])
