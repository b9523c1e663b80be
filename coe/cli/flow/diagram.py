"""`coe flow diagram`."""

from __future__ import annotations

from pathlib import Path

import click

from coe.cli.grammar import example, verb
from coe.cli.output import Result, printed


@verb()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--to",
    type=click.Choice(["mermaid", "svg"]),
    default="mermaid",
    show_default=True,
    help="The format.",
)
@click.option(
    "--save",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file to write, in place of stdout.",
)
@example("coe flow diagram order.yaml", "coe flow diagram order.yaml --to svg --save order.svg")
@printed()
def diagram(file: Path, to: str, save: Path | None) -> Result:
    """Draw FILE, a definition or a manifest, as a Mermaid flowchart or as SVG."""
    from coe.cli.flow.definition_files import draw_file  # noqa: PLC0415  # YAML is slow to import

    drawn = draw_file(file, to)
    if save is None:
        return Result({"format": to, "diagram": drawn}, formats={"table": lambda: drawn})
    try:
        save.write_text(drawn, encoding="utf-8")
    except OSError as error:
        message = f"{save} cannot be written: {error.strerror}"
        raise click.BadParameter(message, param_hint="--save") from None
    return Result({"format": to, "file": str(save)})
