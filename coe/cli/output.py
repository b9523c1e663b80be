"""Output of commands: text for people or JSON for programs; data on stdout, the rest on stderr."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, TypeVar

import click

from coe.errors import Problem

CommandT = TypeVar("CommandT", bound=Callable[..., object])
PROBLEMS: Final = "problems { code severity message path line column help }"
"""The GraphQL selection of what `print_problems` prints."""


def output_option(*formats: str) -> Callable[[CommandT], CommandT]:
    """Add the option `--output`: text (the default), json or one of `formats`."""
    return click.option(
        "--output",
        type=click.Choice(["text", "json", *formats]),
        default="text",
        help="How to print.",
    )


def print_json(value: object) -> None:
    """Print one JSON value."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def print_table(rows: Sequence[Mapping[str, object]], columns: Sequence[str], empty: str) -> None:
    """Print rows in aligned columns; `empty` if there are none."""
    if not rows:
        click.echo(empty)
        return
    cells = [[_cell(row.get(column)) for column in columns] for row in rows]
    widths = [
        max(len(column), *(len(line[place]) for line in cells))
        for place, column in enumerate(columns)
    ]
    for line in [[column.upper() for column in columns], *cells]:
        padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        click.echo("  ".join(padded).rstrip())


def _cell(value: object) -> str:
    return "" if value is None else str(value).replace("\n", " ")


def problem_line(problem: Problem | Mapping[str, object], file: str | None = None) -> str:
    """Format a problem as one line: place, severity, code, message, help."""
    if isinstance(problem, Problem):
        problem = problem_fields(problem)
    place = ":".join(str(part) for part in (file, problem["line"], problem["column"]) if part)
    path = problem["path"] or ""
    where = place if problem["line"] else f"{place}: {path}" if place and path else place or path
    line = f"{str(problem['severity']).lower()} {problem['code']}: {problem['message']}"
    line = f"{where}: {line}" if where else line
    return line + (f" ({problem['help']})" if problem["help"] else "")


def problem_fields(problem: Problem) -> dict[str, object]:
    """Convert a problem to an object of the JSON output."""
    names = ("line", "column", "code", "severity", "message", "path", "help")
    return {name: getattr(problem, name) for name in names}


def print_problems(problems: Iterable[Mapping[str, object]], file: str | None = None) -> None:
    """Print problems on stderr."""
    for problem in problems:
        click.echo(problem_line(problem, file), err=True)
