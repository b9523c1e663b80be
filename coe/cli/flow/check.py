"""`coe flow check`."""

from __future__ import annotations

from pathlib import Path

import click

from coe.cli.flow.entrypoint_options import entrypoint_options
from coe.cli.grammar import example, verb
from coe.cli.output import Result, printed


@verb()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--for",
    "stage",
    type=click.Choice(["draft", "publication"]),
    default="draft",
    show_default=True,
    help="What a draft may still lack is a warning; a submission for review refuses it.",
)
@entrypoint_options
@example("coe flow check flows", "coe flow check order.yaml --for publication --output sarif")
@printed("sarif")
def check(
    files: tuple[Path, ...],
    stage: str,
    flows_dir: Path | None,
    no_import: bool,  # noqa: FBT001  # click passes it by keyword
) -> Result:
    """Check definitions and manifests, offline: the language, the standards and the names.

    For a folder, check the flows in its YAML files, and say which files are skipped. People, roles,
    teams, systems, flows and tables are looked up in the nearest folder with `catalog/teams`. With
    `--for publication`, the tests.yaml beside a definition is run: a submission requires it. The
    entrypoint of a local flow is tried where its code is at hand: the file is imported in another
    process.

    Exit code 0 without errors, 1 with errors; a file that cannot be read is an error too.
    """
    from coe.cli.flow.file_check import EntrypointTrial, check_files  # noqa: PLC0415  # YAML is slow to import
    from coe.language.check import as_sarif, has_errors  # noqa: PLC0415  # the same
    from coe.language.lint.stages import Stage  # noqa: PLC0415  # the same

    trial = None if no_import else EntrypointTrial(flows_dir)
    checked = check_files(files, Stage(stage), trial)
    found = checked.problems
    return Result(
        [each.to_json() for each in found],
        [str(each) for each in found],
        notes=checked.skipped,
        code=int(has_errors(found)),
        formats={"sarif": lambda: as_sarif(found)},
    )
