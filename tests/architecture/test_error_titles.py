"""The constant titles of errors in the code are those that everyone may read, and no other is."""

from __future__ import annotations

import ast
from pathlib import Path

from coe.runs.error_reasons import TITLES

ROOT = Path(__file__).resolve().parents[2]
RAISING = ("engines", "execution", "leaves", "machine", "runs", "sdk")
"""The packages whose code makes errors of runs."""


def constant_titles() -> set[str]:
    """Every constant text that code gives an error as its title."""
    found: set[str] = set()
    for package in RAISING:
        for path in (ROOT / "coe" / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                found |= set(_titles(node))
    return found


def _titles(node: ast.AST):
    assigned = node.targets if isinstance(node, ast.Assign) else []
    names = {each.id for each in assigned if isinstance(each, ast.Name)}
    if isinstance(node, ast.keyword):
        names = {node.arg}
    if "title" in names:
        yield from _text(node.value)
    elif isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values, strict=True):
            if isinstance(key, ast.Constant) and key.value == "title":
                yield from _text(value)


def _text(node: ast.AST):
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value


def test_every_constant_title_of_the_code_is_public_and_no_other() -> None:
    listed = "TITLES of coe/runs/error_reasons.py"
    assert constant_titles() - TITLES == set(), f"add it to {listed}: it is shown to everyone"
    assert TITLES - constant_titles() == set(), f"delete it from {listed}"
