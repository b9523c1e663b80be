"""`coe flow check`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from coe.cli.output import output_option


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--for",
    "stage",
    type=click.Choice(["draft", "publication"]),
    default="draft",
    show_default=True,
    help="What a draft may still lack is a warning; a submission for review refuses it.",
)
@output_option("sarif")
def check(files: tuple[Path, ...], stage: str, output: str) -> None:
    """Check definitions and manifests, offline: the language and the standards.

    For a folder, check the flows in it. Exit code 0 without errors, 1 with errors; a file that
    cannot be read is an error too.
    """
    from coe.cli.flow.file_check import check_files, format_problems  # noqa: PLC0415  # YAML is slow to import
    from coe.language.check import has_errors  # noqa: PLC0415  # the same
    from coe.language.lint.stages import Stage  # noqa: PLC0415  # the same

    found = check_files(files, Stage(stage))
    click.echo(format_problems(found, output), nl=False)
    sys.exit(1 if has_errors(found) else 0)
