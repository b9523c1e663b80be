"""The machine and the formats are pure: no clock, no randomness, no I/O, as replays need it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(
    file for package in ("machine", "formats") for file in (ROOT / "coe" / package).glob("*.py")
)
# Modules without clock, randomness and I/O; of those that have some, the pure names.
PURE_MODULES = {
    "__future__",
    "base64",
    "coe.json_types",
    "collections",
    "collections.abc",
    "dataclasses",
    "enum",
    "fractions",
    "functools",
    "hashlib",
    "json",
    "orjson",
    "re",
    "typing",
    "urllib.parse",
}
PURE_NAMES = {
    "datetime": {"UTC", "combine", "date", "datetime", "fromisoformat", "min", "time", "timedelta"},
    "sys": {"maxsize"},
    "uuid": {"NAMESPACE_URL", "UUID", "uuid5"},
}
PURE_PACKAGES = ("coe.formats.", "coe.language.", "coe.machine.")
CLOCKS = {"now", "utcnow", "today"}
IMPURE_BUILTINS = {"__import__", "eval", "exec", "hash", "id", "input", "open", "print"}


def _impure(source: str) -> list[str]:
    """The imports and uses in a module that make it depend on more than its arguments."""
    nodes = list(ast.walk(ast.parse(source)))
    imports = [name for node in nodes for name in _imports(node) if not _is_pure(*name)]
    return [".".join(name) for name in imports] + [use for node in nodes for use in _uses(node)]


def _imports(node: ast.AST) -> Iterator[tuple[str, str]]:
    """The module and the name of each import; the name is empty for a whole module."""
    match node:
        case ast.Import(names=names):
            yield from ((each.name, "") for each in names)
        case ast.ImportFrom(module=module, names=names):
            yield from ((module or "", each.name) for each in names)


def _is_pure(module: str, name: str) -> bool:
    if module in PURE_NAMES:
        return name in PURE_NAMES[module] | {""}
    return module in PURE_MODULES or f"{module}.".startswith(PURE_PACKAGES)


def _uses(node: ast.AST) -> Iterator[str]:
    """Impure members of imported modules, readings of the clock, and impure built-ins."""
    match node:
        case ast.Attribute(value=ast.Name(id=module), attr=name) if module in PURE_NAMES:
            if not _is_pure(module, name):
                yield f"{module}.{name}"
        case ast.Call(func=ast.Name(id=name)) if name in IMPURE_BUILTINS:
            yield f"{name}()"
        case ast.Call(func=ast.Attribute(attr=name)) if name in CLOCKS:
            yield f"{name}()"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_module_of_the_machine_is_pure(path: Path) -> None:
    assert _impure(path.read_text()) == []


@pytest.mark.parametrize(
    "source",
    [
        "import time",
        "import random",
        "import os",
        "import socket",
        "import asyncio",
        "from pathlib import Path",
        "from uuid import uuid4",
        "from coe.db import Read",
        "import uuid\nuuid.uuid4()",
        "import sys\nsys.stdout.write('x')",
        "from datetime import datetime\ndatetime.now()",
        "import datetime\ndatetime.datetime.utcnow()",
        "open('x')",
        "async def f():\n    import asyncio\n    await asyncio.sleep(1)",
    ],
)
def test_a_clock_randomness_or_io_is_found(source: str) -> None:
    assert _impure(source) != []
