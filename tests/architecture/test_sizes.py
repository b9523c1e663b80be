"""The size limits: files under 500 lines that say something, functions under 80, two levels."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(
    path
    for folder in ("coe", "flows", "tests", "benchmarks")
    for path in (ROOT / folder).rglob("*.py")
    if "versions" not in path.parts and "node_modules" not in path.parts
)
FILE_LINES = 500
FUNCTION_LINES = 80


def _lines(source: str) -> int:
    return sum(1 for line in source.splitlines() if line.strip())


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_and_its_functions_stay_small(path: Path) -> None:
    source = path.read_text()
    assert _lines(source) <= FILE_LINES
    long = [
        f"{node.name} ({node.end_lineno - node.lineno + 1})"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno + 1 > FUNCTION_LINES
    ]
    assert not long, f"functions over {FUNCTION_LINES} lines: {', '.join(long)}"


def test_almost_all_files_are_under_300_lines() -> None:
    code = [path for path in FILES if path.is_relative_to(ROOT / "coe")]
    large = [path for path in code if _lines(path.read_text()) > 300]
    assert len(large) <= len(code) // 20, [str(path.relative_to(ROOT)) for path in large]


def test_at_most_two_levels_stand_under_coe() -> None:
    deep = [path for path in FILES if len(path.relative_to(ROOT).parts) > 4 and "coe" in path.parts]
    assert not [p for p in deep if p.is_relative_to(ROOT / "coe")]
