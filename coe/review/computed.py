"""What is computed of a draft's texts, in a process that can be killed (`coe.confined`)."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from coe.errors import Problem, errors_in
from coe.language.source import Unreadable, read
from coe.templates.manifest import TESTS, in_file
from coe.testing.suite_format import read_suite


def suite_errors(text: str) -> tuple[Problem, ...]:
    """The errors of the tests of a flow."""
    _, problems = read_suite(text, file=TESTS)
    return tuple(in_file(TESTS, each) for each in problems) if errors_in(problems) else ()


def unreadable(text: str) -> tuple[Problem, ...]:
    """Why the tests of a table cannot be read."""
    try:
        read(text, file=TESTS)
    except Unreadable as error:
        return (in_file(TESTS, error.problem),)
    return ()


def named_version(text: str) -> str | None:
    """The ref that a document names as its own; None for one that cannot be read."""
    try:
        data = read(text).data
    except Unreadable:
        return None
    head = data if isinstance(data, dict) else {}
    for part in ("document", "decision"):
        inner = head.get(part)
        head = inner if isinstance(inner, dict) else head
    return f"{head.get('namespace')}/{head.get('name')}@{head.get('version')}"


def unified(old: Mapping[str, str], new: Mapping[str, str], before: str, version: str) -> str:
    """What differs between the files of two versions, each file as a whole."""
    lines: list[str] = []
    for path in sorted({*old, *new}):
        lines += difflib.unified_diff(
            old.get(path, "").splitlines(),
            new.get(path, "").splitlines(),
            f"{path} ({before})",
            f"{path} (@{version})",
            lineterm="",
        )
    return "".join(f"{line}\n" for line in lines)
