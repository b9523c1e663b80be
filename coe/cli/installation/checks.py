"""How the parts of an installation are printed, and the exit code that says it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from coe.cli.grammar import EXIT_CODES
from coe.cli.output import Table

if TYPE_CHECKING:
    from coe.installation.status import Check


def table_of(checks: Sequence[Check]) -> tuple[list[dict[str, Any]], Table]:
    """The data of the parts, and a table of them."""
    data = [asdict(each) for each in checks]
    rows = [each | {"next": _next(each["help"], each["page"])} for each in data]
    return data, Table(rows, ["part", "health", "detail", "next"])


def _next(mends: str | None, page: str | None) -> str | None:
    """What mends it, and the page to read on, once."""
    if mends is None or page is None or page in mends:
        return mends or page
    return f"{mends}\n{page}"


def exit_code(checks: Sequence[Check]) -> int:
    """0 without problems, 1 with, 7 if the database does not answer."""
    problems = [each.part for each in checks if each.health == "problem"]
    return EXIT_CODES["UNAVAILABLE"] if "database" in problems else int(bool(problems))
