"""What commands print: data for programs (JSON, YAML) or tables for people, in one place.

A command returns a `Result`: its data, and its view for people. `printed` adds the option
`--output` and prints one of the two. Data goes to stdout, everything else to stderr.
"""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import click

from coe.errors import Problem

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])
FORMATS: Final = ("table", "json", "yaml")
OUTPUT: Final = "coe.output"
"""The key in a context's `meta` under which the chosen format is kept."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows in aligned columns.

    Attributes:
        rows: Each row by the names of its values.
        columns: The names of the values, which are the headings too.
        empty: What is printed if there are no rows.
    """

    rows: Sequence[Mapping[str, object]]
    columns: Sequence[str]
    empty: str = "nothing"


View = str | Table


@dataclass(frozen=True, slots=True)
class Result:
    """What a command found or did.

    Attributes:
        data: Values of JSON: what `--output json` and `yaml` print.
        view: The same for people; lines of text, and tables.
        notes: Lines for stderr, whatever the format.
        problems: Problems of the input, as the API returns them; in text they go to stderr.
        file: The file of which the problems are.
        code: The exit code.
        formats: Further formats of this command, by their name.
    """

    data: object
    view: Sequence[View] | View = ()
    notes: Sequence[str] = ()
    problems: Iterable[Mapping[str, object]] = ()
    file: str | None = None
    code: int = 0
    formats: Mapping[str, Callable[[], str]] = field(default_factory=dict)


def printed(*formats: str) -> Callable[[FunctionT], Callable[..., None]]:
    """Add the option `--output`, print the `Result` of the command, and exit with its code."""

    def decorate(function: FunctionT) -> Callable[..., None]:
        @_output_option(*formats)
        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> None:
            result: Result = function(*args, **kwargs)
            write(result)
            sys.exit(result.code)

        return wrapped

    return decorate


def _output_option(*formats: str) -> Callable[[FunctionT], FunctionT]:
    choices = [*FORMATS, *formats]

    def choose(ctx: click.Context, _: click.Parameter, value: str | None) -> str:
        chosen = value or ctx.meta.get(OUTPUT) or FORMATS[0]
        if chosen == "text":  # the former name
            chosen = FORMATS[0]
        ctx.meta[OUTPUT] = chosen
        return chosen

    return click.option(
        "-o",
        "--output",
        type=click.Choice([*choices, "text"]),
        metavar=f"[{'|'.join(choices)}]",
        callback=choose,
        expose_value=False,
        help="How to print; by default a table.",
    )


def output_format() -> str:
    """The format that was chosen for the command that runs."""
    context = click.get_current_context(silent=True)
    chosen: str = context.meta.get(OUTPUT, FORMATS[0]) if context else FORMATS[0]
    return chosen


def for_people() -> bool:
    """Whether the command prints for people, and not data."""
    return output_format() == FORMATS[0]


def write(result: Result) -> None:
    """Print a result in the chosen format."""
    chosen = output_format()
    if chosen in result.formats:
        click.echo(result.formats[chosen](), nl=False)
    elif chosen == "json":
        print_json(result.data)
    elif chosen == "yaml":
        print_yaml(result.data)
    else:
        print_problems(result.problems, result.file)
        views = [result.view] if isinstance(result.view, str | Table) else result.view
        for view in views:
            if isinstance(view, Table):
                print_table(view.rows, view.columns, view.empty)
            else:
                click.echo(printable(view))
    for note in result.notes:
        click.echo(printable(note), err=True)


def print_json(value: object) -> None:
    """Print one JSON value."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def print_yaml(value: object) -> None:
    """Print one YAML document."""
    import yaml  # noqa: PLC0415  # slow to import

    plain = json.loads(json.dumps(value, default=str))
    click.echo(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=100), nl=False)


def print_table(rows: Sequence[Mapping[str, object]], columns: Sequence[str], empty: str) -> None:
    """Print rows in aligned columns, folded to the width of a terminal; `empty` without rows."""
    if not rows:
        click.echo(empty)
        return
    cells = [[cell_text(row.get(column)) for column in columns] for row in rows]
    lines = [[column.upper() for column in columns], *cells]
    if sys.stdout.isatty():
        from coe.cli.terminal import print_folded  # noqa: PLC0415  # rich is slow to import

        print_folded(lines)
        return
    widths = [max(len(line[place]) for line in lines) for place in range(len(columns))]
    for line in lines:
        padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        click.echo("  ".join(padded).rstrip())


def printable(text: str) -> str:
    """A text without what a terminal would obey; lines and tabs stay."""
    return "".join(each if each.isprintable() or each in "\n\t" else " " for each in text)


def cell_text(value: object) -> str:
    """The text of a value in a table: one line, without what a terminal would obey."""
    if value is None:
        return ""
    if isinstance(value, list | tuple):
        return ", ".join(cell_text(each) for each in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        value = json.dumps(value, ensure_ascii=False, default=str)
    return " ".join(printable(str(value)).replace("\t", " ").splitlines())


_TESTS: Final = "/tests.yaml"
"""Where the problems of the tests that are sent with a file are; their lines are not the file's."""


def problem_line(problem: Problem | Mapping[str, object], file: str | None = None) -> str:
    """Format a problem as one line: place, severity, code, message, help."""
    if isinstance(problem, Problem):
        problem = problem_fields(problem)
    path = problem["path"] or ""
    if file and path == _TESTS:
        file = _TESTS[1:]
    place = ":".join(str(part) for part in (file, problem["line"], problem["column"]) if part)
    where = place if problem["line"] else f"{place}: {path}" if place and path else place or path
    line = f"{str(problem['severity']).lower()} {problem['code']}: {problem['message']}"
    line = f"{where}: {line}" if where else line
    return printable(line + (f" ({problem['help']})" if problem["help"] else ""))


def problem_fields(problem: Problem) -> dict[str, object]:
    """Convert a problem to an object of the JSON output."""
    names = ("line", "column", "code", "severity", "message", "path", "help")
    return {name: getattr(problem, name) for name in names}


def print_problems(problems: Iterable[Mapping[str, object]], file: str | None = None) -> None:
    """Print problems on stderr."""
    from coe.cli.arguments import named_by_options  # noqa: PLC0415  # only where there are problems

    context = click.get_current_context(silent=True)
    for problem in problems:
        shown = problem if file else named_by_options(problem, context)
        click.echo(problem_line(shown, file), err=True)


def has_errors(problems: Iterable[Mapping[str, object]]) -> bool:
    """Whether one of the problems has the severity ERROR."""
    return any(problem["severity"] == "ERROR" for problem in problems)
