"""`coe template new`."""

from __future__ import annotations

from pathlib import Path

import click

from coe.cli.api_client import DEFAULT_URL
from coe.cli.grammar import example, verb
from coe.cli.new_files import ask_for, parts_of, write_new
from coe.cli.output import Result, printed


@verb()
@click.argument("template", required=False)
@click.option("--title", help="The template's title.")
@click.option("--process-owner", help="Who is responsible for the template.")
@click.option(
    "--to",
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder to write; by default one of the template's name.",
)
@click.option(
    "--schemas",
    envvar="COE_URL",
    metavar="URL",
    help=f"The server whose schemas editors use, by default {DEFAULT_URL}. [COE_URL]",
)
@example("coe template new coe/refund --process-owner coe-lead")
@printed()
def new(
    template: str | None,
    title: str | None,
    process_owner: str | None,
    to: Path | None,
    schemas: str | None,
) -> Result:
    """Write the first files of TEMPLATE (namespace/name): manifest, flow, tests and a README.

    They render, and pass their check and their tests. What is not given is asked on a terminal.
    """
    from coe.cli.template.skeleton import template_files  # noqa: PLC0415  # only here

    namespace, name = parts_of(template or ask_for("Template (namespace/name)", "TEMPLATE"))
    owner = process_owner or ask_for("Process owner", "--process-owner")
    folder = to or Path(name)
    words = title or name.replace("-", " ").capitalize()
    written = write_new(folder, template_files(namespace, name, words, owner), schemas)
    return Result(
        {"folder": str(folder), "files": written},
        [f"written: {each}" for each in written],
        [f"next: coe flow test {folder} && coe template register {folder}"],
    )
