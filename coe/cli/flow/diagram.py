"""`coe flow diagram`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--to",
    type=click.Choice(["mermaid", "svg"]),
    default="mermaid",
    show_default=True,
    help="The format.",
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, allow_dash=True),
    default="-",
    help="The file to write; - is stdout.",
)
def diagram(file: Path, to: str, output: str) -> None:
    """Draw FILE, a definition or a manifest, as a Mermaid flowchart or as SVG."""
    from coe.cli.flow.definition_files import draw_file  # noqa: PLC0415  # YAML is slow to import

    drawn = draw_file(file, to)
    try:
        with click.open_file(output, "w", encoding="utf-8") as opened:
            opened.write(drawn)
    except OSError as error:
        message = f"{output} cannot be written: {error.strerror}"
        raise click.BadParameter(message, param_hint="--output") from None
