"""`coe demo`: everything on this machine, with the sample company and its story."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click


@click.command()
@click.option(
    "--data",
    default=".coe",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder for everything that the demo keeps.",
)
@click.option("--stop", is_flag=True, help="Stop the demo that runs on this folder, and leave.")
@click.option("--once", is_flag=True, help="Stop by itself when the story has run.")
@click.option("--no-story", is_flag=True, help="Start everything, but seed and run nothing.")
def command(data: Path, stop: bool, once: bool, no_story: bool) -> None:  # noqa: FBT001  # click hands them by keyword
    """Start everything on loopback, seed the sample company and run its story.

    Ctrl-C stops all that it started; the same command again resumes with the data. Where
    COE_DATABASE_URL is set, that PostgreSQL server is used instead of the embedded one.
    """
    from coe.demo.run import Demo, stop_demo  # noqa: PLC0415  # only here

    if stop:
        click.echo(stop_demo(data.absolute()))
        return
    demo = Demo(data.absolute(), story=not no_story, once=once, tell=click.echo)
    sys.exit(asyncio.run(demo.run()))
