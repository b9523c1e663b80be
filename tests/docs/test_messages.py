"""Each command that a message of the code names exists, with the options that it needs."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from coe.cli.grammar import Verb
from coe.cli.main import COMMANDS, cli

ROOT = Path(__file__).resolve().parents[2]
PLACE = "SOMETHING"
"""Stands for what a message fills in."""
COMMAND = re.compile(
    rf"(?<![\w./-])coe (?=(?:{'|'.join(sorted(COMMANDS, key=len, reverse=True))})\b(?![-:=]))"
    r"[^`;\n()]*"
)
AFTER_A_COMMAND = re.compile(r"(?: and | or |, |: |\. | …| with | in ).*")


def _texts(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """The strings of a module that are no docstrings; what is filled in is `PLACE`."""
    inside: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            inside.add(id(node.value))  # a docstring
        if isinstance(node, ast.JoinedStr):
            inside |= {id(each) for each in ast.walk(node) if each is not node}
            parts = (
                str(each.value) if isinstance(each, ast.Constant) else PLACE for each in node.values
            )
            yield node.lineno, "".join(parts)
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in inside
        ):
            yield node.lineno, node.value


def commands() -> Iterator[tuple[str, str]]:
    """Each command in a string of the code, with its place."""
    for path in sorted((ROOT / "coe").rglob("*.py")):
        for line, text in _texts(ast.parse(path.read_text(encoding="utf-8"))):
            for found in COMMAND.finditer(text):
                said = AFTER_A_COMMAND.sub("", found[0]).rstrip(" .,:'\"")
                yield f"{path.relative_to(ROOT)}:{line}", said


def fault(said: str) -> str | None:
    """What is wrong with a command as it is said; one without arguments is only named."""
    try:
        words = shlex.split(said)[1:]
    except ValueError:
        words = said.split()[1:]
    command: click.Command = cli
    while words and isinstance(command, click.Group):
        found = command.get_command(click.Context(command), words[0])
        if found is None:
            return f"{command.name} has no {words[0]}" if command is not cli else "no such noun"
        command = found
        words.pop(0)
    if not isinstance(command, Verb) or not words:
        return None
    known = {option for each in command.params for option in (*each.opts, *each.secondary_opts)}
    given = {each.partition("=")[0] for each in words if each.startswith("--")}
    if given - known:
        return f"has no {', '.join(sorted(given - known))}"
    needed = [each for each in command.params if each.required and isinstance(each, click.Option)]
    missing = [each.opts[0] for each in needed if not given & set(each.opts)]
    return f"needs {', '.join(missing)}" if missing else None


def test_a_command_that_a_message_names_can_be_typed() -> None:
    found = list(commands())
    assert len(found) > 100
    faults = [f"{place}: `{said}` {why}" for place, said in found if (why := fault(said))]
    assert faults == []


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("coe worker SOMETHING", "has no SOMETHING"),
        ("coe team add SOMETHING SUBJECT --role lead", "needs --reason"),
        ("coe team add", None),
        ("coe run cancel RUN --why x", "has no --why"),
    ],
)
def test_what_cannot_be_typed_is_found(said: str, why: str | None) -> None:
    assert (fault(said) or "").endswith(why or "")
