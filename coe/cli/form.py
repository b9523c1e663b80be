"""Values for a JSON Schema on the command line: from a file, by `--set`, or asked one by one."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar, cast

import click

from coe.cli.input_files import parse_json_input, read_value_input, source_name
from coe.errors import CoeError
from coe.json_types import JSON

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])
_SIMPLE: Final = frozenset({"string", "integer", "number", "boolean", "null"})


def values_options(name: str, what: str) -> Callable[[FunctionT], FunctionT]:
    """Add the options `--NAME FILE` and `--set NAME=VALUE`, passed as `file` and `pairs`."""

    def add(function: FunctionT) -> FunctionT:
        return click.option(
            f"--{name}",
            "file",
            metavar="FILE",
            type=click.Path(exists=True, dir_okay=False, allow_dash=True),
            help=f"A file with {what}, JSON or YAML; - is stdin.",
        )(set_option(what)(function))

    return add


def set_option(what: str) -> Callable[[FunctionT], FunctionT]:
    """Add the option `--set NAME=VALUE`, passed as `pairs`."""
    return click.option(
        "--set",
        "pairs",
        multiple=True,
        metavar="NAME=VALUE",
        help=f"One value of {what}, text or JSON; a.b=1 is b in the object a. Repeatable.",
    )


def read_values(
    schema: JSON, *, file: str | None, pairs: Sequence[str], asking: str | None = None
) -> dict[str, JSON]:
    """The values of a file, and over them those of `--set`; if there are none, they are asked.

    Args:
        schema: The JSON Schema of the object.
        file: A file of JSON, or None.
        pairs: `NAME=VALUE`.
        asking: A heading of the questions; None if nothing is asked.

    Raises:
        CoeError: The file or a value cannot be read.
    """
    given: JSON = {} if file is None else read_value_input(file)
    if not isinstance(given, dict):
        raise CoeError(f"{source_name(str(file))} is not an object", code="INVALID")
    set_values(given, pairs, schema)
    if file is None and not pairs and asking is not None and sys.stdin.isatty():
        click.echo(asking, err=True)
        return ask(schema)
    return given


def set_values(values: dict[str, JSON], pairs: Sequence[str], schema: JSON) -> None:
    """Set the values of `NAME=VALUE` in an object; text stays text where the schema takes text.

    Raises:
        CoeError: A value is not what the schema takes.
        UsageError: It is not NAME=VALUE, or a part of the name is not an object.
    """
    for pair in pairs:
        _set(values, pair, schema)


def ask(schema: JSON) -> dict[str, JSON]:
    """Ask for each property of an object on the terminal; what is left empty is left out."""
    values: dict[str, JSON] = {}
    required = _as_list(_as_object(schema).get("required"))
    for name, field in _as_object(_as_object(schema).get("properties")).items():
        value = _ask_one(name, _with_definitions(field, schema), needed=name in required)
        if value is not None:
            values[name] = value
    return values


def describe(schema: JSON) -> list[dict[str, object]]:
    """A row for each property of an object: its name, what it takes, and what it is."""
    required = _as_list(_as_object(schema).get("required"))
    return [
        {
            "field": name + ("" if name in required else "?"),
            "takes": _kind(_as_object(field)),
            "what": _as_object(field).get("description") or _as_object(field).get("title"),
        }
        for name, field in _as_object(_as_object(schema).get("properties")).items()
    ]


def _ask_one(name: str, schema: dict[str, Any], *, needed: bool) -> JSON:
    from coe.language.json_schema.violations import input_problems  # noqa: PLC0415  # slow to import

    title = str(schema.get("title") or name)
    if schema.get("description"):
        click.echo(f"  {schema['description']}", err=True)
    default = schema.get("default")
    shown = "" if default is None else default if isinstance(default, str) else json.dumps(default)
    while True:
        text = click.prompt(
            f"{title} ({_kind(schema)}{'' if needed else ', optional'})",
            default=shown,
            show_default=bool(shown),
            err=True,
        ).strip()
        if not text and not needed:
            return None
        if text == shown and default is not None:
            return cast("JSON", default)
        try:
            value = _value(text, schema, name)
            problems = input_problems(schema, value)
        except CoeError as error:
            click.echo(f"  {error.message}", err=True)
            continue
        if not problems:
            return value
        for problem in problems:
            click.echo(f"  {problem.path or ''} {problem.message}".replace("   ", "  "), err=True)


def _set(values: dict[str, JSON], pair: str, schema: JSON) -> None:
    path, equals, text = pair.partition("=")
    if not equals or not path:
        raise click.UsageError(f"--set takes NAME=VALUE, not {pair!r}")
    *parents, last = path.split(".")
    place, field = values, _as_object(schema)
    for parent in parents:
        inner = place.setdefault(parent, {})
        if not isinstance(inner, dict):
            raise click.UsageError(f"--set {path}: {parent} has a value that is not an object")
        place = inner
        field = _as_object(_as_object(field.get("properties")).get(parent))
    known = _as_object(field.get("properties"))
    place[last] = _value(text, _as_object(known.get(last)), f"--set {path}")


def _value(text: str, schema: Mapping[str, Any], name: str) -> JSON:
    """The value of a text: text where the schema takes text, else JSON."""
    kinds = _kinds(schema)
    if kinds == {"string"} or (not kinds and _all_text(schema)):
        return text
    if kinds and "string" not in kinds:
        if kinds == {"boolean"} and text.lower() in {"yes", "no", "y", "n"}:
            return text.lower().startswith("y")
        try:
            return parse_json_input(text, name)
        except CoeError:
            if text.strip().lstrip("-").isdigit():  # it is too long
                raise
            takes = {"boolean": "yes or no", "integer": "a whole number", "number": "a number"}
            wanted = takes.get(next(iter(kinds)), "") if len(kinds) == 1 else ""
            if not wanted:
                raise
            raise CoeError(f"{name} takes {wanted}, not {text!r}", code="INVALID") from None
    try:  # it takes text and more, or anything
        return parse_json_input(text, name)
    except CoeError:
        return text


def _kinds(schema: Mapping[str, Any]) -> set[str]:
    kind = schema.get("type")
    return set(kind) if isinstance(kind, list) else {kind} if isinstance(kind, str) else set()


def _all_text(schema: Mapping[str, Any]) -> bool:
    values = schema.get("enum") or ([schema["const"]] if "const" in schema else [])
    return bool(values) and all(isinstance(each, str) for each in values)


def _kind(schema: Mapping[str, Any]) -> str:
    """What a property takes, in a few words."""
    if "enum" in schema:
        return " | ".join(str(each) for each in schema["enum"])
    if "const" in schema:
        return str(schema["const"])
    kinds = _kinds(schema)
    names = {"string": str(schema.get("format") or "text"), "boolean": "yes | no"}
    words = " or ".join(names.get(each, each) for each in sorted(kinds)) or "JSON"
    return words if kinds <= _SIMPLE else f"{words}, as JSON"


def _with_definitions(field: JSON, schema: JSON) -> dict[str, Any]:
    kept = {key: each for key, each in _as_object(schema).items() if key in {"$defs", "$schema"}}
    return {**kept, **_as_object(field)}


def _as_object(value: JSON) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _as_list(value: JSON) -> list[Any]:
    return value if isinstance(value, list) else []
