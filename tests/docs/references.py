"""Write the references of the command line, of GraphQL and of the chart: `make references`.

The pages are kept in the repository, so that they read well there; a test compares them.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import click
from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    build_schema,
    print_ast,
)

from coe.cli.main import COMMANDS, cli
from tests.docs import chart
from tests.docs.metrics_page import metrics_page

ROOT: Final = Path(__file__).resolve().parents[2]
FOLDER: Final = ROOT / "docs" / "reference"
SNAPSHOT: Final = ROOT / "coe" / "api" / "schema.graphql"
HIDDEN: Final = {"demo-api", "demo-company"}
"""Processes that `coe demo` starts; nobody types them."""


# ---------------------------------------------------------------- the command line
def cli_page() -> str:
    """The page of every command."""
    return "\n".join(["# Every command", "", *_intro(), *_nouns()]).rstrip() + "\n"


def _intro() -> Iterator[str]:
    yield "Generated from the code. `coe NOUN VERB --help` prints the same."
    yield "Exit codes and examples of output are in [the command line](../cli.md)."
    yield ""


def _nouns() -> Iterator[str]:
    context = click.Context(cli, info_name="coe")
    for noun in sorted(set(COMMANDS) - HIDDEN):
        command = cli.get_command(context, noun)
        if command is not None:
            yield from _command(command, click.Context(command, context, info_name=noun), "##")


def _command(command: click.Command, context: click.Context, heading: str) -> Iterator[str]:
    yield from (f"{heading} {context.command_path}", "", *_help(command))
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            if inner is not None and not inner.hidden:
                below = click.Context(inner, context, info_name=name)
                yield from _command(inner, below, "###" if heading == "##" else "####")
        return
    pieces = " ".join(command.collect_usage_pieces(context))
    yield from ("```text", f"{context.command_path} {pieces}".rstrip(), "```", "")
    yield from _options(command, context)


def _help(command: click.Command) -> Iterator[str]:
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        lines = paragraph.splitlines()
        if lines and lines[0].strip() == "\b":
            yield from ("```text", *(line.removeprefix("  ") for line in lines[1:]), "```", "")
        elif lines:
            yield from (_cell(" ".join(lines)), "")
    if command.epilog:
        yield from (_cell(" ".join(command.epilog.replace("\b", "").split())), "")


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    records = [
        record
        for each in command.get_params(context)
        if isinstance(each, click.Option) and not (set(each.opts) & {"--help"})
        if (record := each.get_help_record(context)) is not None
    ]
    if records:
        yield from ("| option | meaning |", "|---|---|")
        for names, text in records:
            yield f"| `{_cell(names)}` | {_cell(' '.join(text.split()))} |"
        yield ""


# ---------------------------------------------------------------- GraphQL
def graphql_page() -> str:
    """The page of every root field and type."""
    schema = build_schema(SNAPSHOT.read_text(encoding="utf-8"))
    lines = [
        "# GraphQL",
        "",
        "Generated from the schema: `POST /graphql` with `Authorization: Bearer …` and JSON;",
        "`/graphiql` has an explorer. What a caller has to correct comes back, located, in",
        "`problems` of the payload; everything else is an error with `extensions.code`.",
        "",
    ]
    roots = (schema.query_type, schema.mutation_type, schema.subscription_type)
    for title, root in zip(("Queries", "Mutations", "Subscriptions"), roots, strict=True):
        if root is not None:
            lines += [f"## {title}", "", *_root(root)]
    lines += ["## Types", "", *_types(schema)]
    return "\n".join(lines).rstrip() + "\n"


def _root(root: GraphQLObjectType) -> Iterator[str]:
    for name, field in root.fields.items():
        yield from (f"### {name}", "")
        if field.description:
            yield from (_text(field.description), "")
        yield from (f"Returns {_type(field.type)}.", "")
        yield from _arguments(field.args)


def _arguments(arguments: dict[str, GraphQLArgument]) -> Iterator[str]:
    if arguments:
        yield from ("| argument | type | meaning |", "|---|---|---|")
        for name, each in arguments.items():
            yield _row(name, f"{_type(each.type)}{_default(each)}", each.description)
        yield ""


def _types(schema: GraphQLSchema) -> Iterator[str]:
    roots = {schema.query_type, schema.mutation_type, schema.subscription_type}
    for name in sorted(schema.type_map):
        each = schema.type_map[name]
        if not name.startswith("__") and each not in roots:
            lines = list(_members(each))
            if lines or each.description:
                yield from (f"### {name}", "")
                if each.description:
                    yield from (_text(each.description), "")
                yield from lines


def _members(each: GraphQLNamedType) -> Iterator[str]:
    match each:
        case GraphQLEnumType():
            values = ", ".join(f"`{name}`" for name in each.values)
            yield from (f"One of {values}.", "")
        case GraphQLUnionType():
            yield from (f"One of {', '.join(_type(one) for one in each.types)}.", "")
        case GraphQLObjectType() | GraphQLInterfaceType():
            yield from ("| field | type | meaning |", "|---|---|---|")
            for name, field in each.fields.items():
                arguments = f"({', '.join(field.args)})" if field.args else ""
                yield _row(f"{name}{arguments}", _type(field.type), field.description)
            yield ""
        case GraphQLInputObjectType():
            yield from ("| field | type | meaning |", "|---|---|---|")
            for name, given in each.fields.items():
                yield _row(name, f"{_type(given.type)}{_default(given)}", given.description)
            yield ""


def _row(name: str, kind: str, description: str | None) -> str:
    return f"| `{name}` | {kind} | {_cell(_text(description))} |"


def _default(argument: Any) -> str:
    if argument.default_value is None or argument.ast_node is None:
        return ""
    written = argument.ast_node.default_value
    return f" = `{print_ast(written)}`" if written is not None else ""


def _type(each: Any) -> str:
    return f"`{each}`"


def _text(description: str | None) -> str:
    return " ".join((description or "").split())


def _cell(text: str) -> str:
    """Text for a cell of a table: no bar ends it, and no angle bracket begins a tag."""
    return re.sub(r"(?<!`)<", "&lt;", text).replace("|", "\\|")


PAGES: Final[dict[str, Callable[[], str]]] = {
    "cli.md": cli_page,
    "graphql.md": graphql_page,
    "metrics.md": metrics_page,
}


def main() -> None:
    """Write the pages."""
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page(), encoding="utf-8")
    for file, text in chart.FILES.items():
        file.write_text(text(), encoding="utf-8")


if __name__ == "__main__":
    main()
