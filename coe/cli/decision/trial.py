"""`coe decision try`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from coe.cli.input_files import read_json_input
from coe.cli.output import output_option, print_json


@click.command("try")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--input", "input_file", default="-", help="A file with the JSON input; - is stdin.")
@output_option()
def try_table(file: Path, input_file: str, output: str) -> None:
    """Decide one case with the table in FILE, offline; exit code 1 if no rule gives an answer."""
    from coe.cli.decision.table_files import decide, one_line  # noqa: PLC0415  # YAML is slow to import

    outcome = decide(file, read_json_input(input_file))
    if output == "json":
        print_json(outcome)
        return
    rules: Any = outcome.pop("rules")
    ref, _ = outcome.pop("decision"), outcome.pop("digest")
    for name, value in outcome.items():
        click.echo(f"{name}: {one_line(value)}")
    click.echo(f"by {', '.join(rules) or 'no rule'} of {ref}")
