"""The progress of long work, shown on stderr; silent if that is not a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from coe.cli.terminal import Advance


@contextmanager
def progress(doing: str, total: int | None = None, *, unit: str = "") -> Iterator[Advance]:
    """Show the progress of long work.

    Args:
        doing: What is done, such as `verifying`.
        total: How much there is; None if it is not known.
        unit: `bytes`, or a word for what is counted.
    """
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from coe.cli.terminal import progress_bar  # noqa: PLC0415  # rich is slow to import

    with progress_bar(doing, total, unit=unit) as advance:
        yield advance
