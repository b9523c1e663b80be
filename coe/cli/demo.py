"""`coe demo`: the whole platform on this machine, with a sample company."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click

from coe.cli.grammar import example, verb


@verb()
@click.option(
    "--data",
    default=".coe",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder of the demo's data.",
)
@click.option(
    "--content",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The folder of catalog, templates, flows and policies; by default those that are shipped.",
)
@click.option("--stop", is_flag=True, help="Stop the demo that runs on this folder.")
@click.option("--once", is_flag=True, help="Stop when the story has run.")
@click.option("--no-story", is_flag=True, help="Start everything, but run no flows.")
@click.option(
    "--reset-story",
    is_flag=True,
    help="Run the story again on the data that are there, also of a demo that runs: it gives the "
    "flow a new version, which becomes live, and starts new runs. Nothing is erased: flows, runs "
    "and the audit log of earlier times stay.",
)
@example("coe demo", "coe demo --once", "coe demo --reset-story")
def command(
    data: Path,
    content: Path | None,
    stop: bool,  # noqa: FBT001  # click passes it by keyword
    once: bool,  # noqa: FBT001  # the same
    no_story: bool,  # noqa: FBT001  # the same
    reset_story: bool,  # noqa: FBT001  # the same
) -> None:
    """Start the platform on loopback, seed the sample company and run its story.

    Ctrl-C stops everything; the same command again resumes with the data. If COE_DATABASE_URL is
    set, that PostgreSQL server is used instead of the embedded one.
    """
    from coe.demo.run import Demo, stop_demo  # noqa: PLC0415  # slow to import

    if stop:
        click.echo(stop_demo(data.absolute()))
        return
    if no_story and reset_story:
        raise click.UsageError("--no-story and --reset-story exclude each other")
    demo = Demo(
        data.absolute(),
        content=content and content.absolute(),
        story=not no_story,
        once=once,
        again=reset_story,
        echo=click.echo,
    )
    sys.exit(asyncio.run(demo.run()))
