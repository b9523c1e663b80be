"""What holds for the arguments of every command, and which of them a message of the server means.

A path is not empty, nor is a text that a command needs; a text is Unicode. What the server says of
a variable is said of the option that became it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

import click

from coe.errors import Invalid

GIVEN: Final = "coe.variables"
"""The key in a context's `meta` under which the variables of the last operation are kept."""
_REFUSED_VARIABLE: Final = re.compile(
    r"Variable '\$(?P<name>\w+)' (?:has invalid|got invalid) value(?: at (?P<path>[\w.\[\]]+))?: "
    r"(?:[A-Z]\w+: )?(?P<why>.*)",
    re.DOTALL,
)
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def check_given(
    ctx: click.Context, parameters: Sequence[click.Parameter], given: Mapping[str, object]
) -> None:
    """Check the texts of a command line, and those of variables that stand for its options.

    Raises:
        BadParameter: It names the argument or the option.
    """
    for each in parameters:
        value = given.get(each.name or "")
        if not isinstance(value, str | list | tuple):
            value = each.value_from_envvar(ctx)
        for text in _texts(value):
            wrong = _wrong(each, text)
            if wrong is not None:
                raise click.BadParameter(wrong, ctx, each)


def as_usage(error: Invalid, ctx: click.Context) -> click.UsageError | None:
    """Wrong usage, if what the server refused is the value of an option of the command."""
    found = _REFUSED_VARIABLE.fullmatch(error.message)
    if found is None:
        return None
    path = [found["name"], *re.findall(r"\w+", found["path"] or "")]
    option = option_at(ctx, path)
    return None if option is None else click.BadParameter(found["why"], ctx, option)


def named_by_options(
    problem: Mapping[str, object], ctx: click.Context | None
) -> Mapping[str, object]:
    """The problem with an option in the place of its path, if the option became that variable."""
    path = problem.get("path")
    if ctx is None or not isinstance(path, str) or problem.get("line") or path.count("/") != 1:
        return problem
    option = option_at(ctx, [path[1:]])
    return problem if option is None else {**problem, "path": named(option)}


def said_of_options(error: Invalid, ctx: click.Context) -> Invalid:
    """The error with the options in the places of the paths that mean them."""
    problems = []
    for each in error.problems:
        path = named_by_options({"path": each.path, "line": each.line}, ctx)["path"]
        problems.append(replace(each, path=None if path is None else str(path)))
    return Invalid(problems, error.message)


def named(parameter: click.Parameter) -> str:
    """How a person writes the parameter: its long option, or the name of the argument."""
    if isinstance(parameter, click.Option):
        return max(parameter.opts, key=len)
    return parameter.human_readable_name


def option_at(ctx: click.Context, path: Sequence[str]) -> click.Parameter | None:
    """The parameter of the command that became the variable, or the part of one, at a path.

    It is the one of this name, else the only one whose value is there.
    """
    name = next((each for each in reversed(path) if not each.isdecimal()), "")
    parameters = [
        each for each in ctx.command.params if ctx.params.get(each.name or "") is not None
    ]
    for each in parameters:
        spelled = {_plain(word) for word in (each.name or "", *each.opts)}
        if spelled & {_plain(name), f"{_plain(name)}s"}:
            return each
    value = _value_at(ctx.meta.get(GIVEN), path)
    same = [
        each
        for each in parameters
        if value is not None and value in _shown(ctx.params.get(each.name or ""))
    ]
    return same[0] if len(same) == 1 else None


def _shown(value: object) -> list[object]:
    """A value as it may stand in a variable: itself, or one of several."""
    return [value, *value] if isinstance(value, list | tuple) else [value]


def _value_at(given: object, path: Sequence[str]) -> object:
    """The value in variables at a path, with or without the name of the variable at its start."""
    for keys in (path, ["input", *path]):
        found = given
        for key in keys:
            if isinstance(found, Mapping):
                found = found.get(key)
            elif isinstance(found, list) and key.isdecimal() and int(key) < len(found):
                found = found[int(key)]
            else:
                found = None
        if isinstance(found, str) and found:
            return found
    return None


def _plain(word: str) -> str:
    return re.sub("[^a-z0-9]", "", word.lower())


def _texts(value: object) -> Iterator[str]:
    """The texts in a value that the parser found."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _texts(each)


def _wrong(parameter: click.Parameter, text: str) -> str | None:
    """What is wrong with a text for this parameter, whatever the command does with it."""
    is_path = isinstance(parameter.type, click.Path)
    if is_path and not text:
        return "a path is not empty"
    if not is_path and _SURROGATE.search(text):
        return "the text is not valid Unicode"
    if parameter.metavar == "FILE" and not text:
        return "a path is not empty"
    if parameter.required and not text.strip():
        return "it is needed, and this is empty"
    return None
