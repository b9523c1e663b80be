"""What needs a terminal: tables folded to its width, and the progress of long work."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich import box
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table
from rich.text import Text

Advance = Callable[[int], None]
"""Tell the progress how far the work is now, in its own unit."""


def print_folded(lines: Sequence[Sequence[str]], *, width: int | None = None) -> None:
    """Print a heading and rows as a table that fits the terminal; long values are folded."""
    console = Console(file=sys.stdout, width=width, highlight=False)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in lines[0]:
        table.add_column(Text(heading), overflow="fold")
    for line in lines[1:]:
        table.add_row(*(Text(cell) for cell in line))
    console.print(table)


@contextmanager
def progress_bar(doing: str, total: int | None, *, unit: str) -> Iterator[Advance]:
    """Show a bar on stderr until the work is done."""
    count = DownloadColumn() if unit == "bytes" else MofNCompleteColumn()
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), count)
    described = doing if unit in {"", "bytes"} else f"{doing} {unit}"
    with Progress(
        *columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True
    ) as shown:
        task = shown.add_task(described, total=total)
        yield lambda done: shown.update(task, completed=done)
