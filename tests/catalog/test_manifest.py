"""What is wrong with a manifest is said in sentences, at its place."""

from __future__ import annotations

import pytest

from coe.catalog.flows.documents import read_flow
from coe.errors import Problem
from tests.factories.runs import local

ENTRYPOINT = "flows/teams/warehouse/pick.py:pick"


def problem(text: str) -> Problem:
    document, problems = read_flow(text)
    assert document is None
    [found] = problems
    return found


@pytest.mark.parametrize(
    ("entrypoint", "said"),
    [
        ("pick", "it names no function: write one after a colon"),
        ("flows/pick.py", "it names no function: write one after a colon"),
        ("C:/flows/pick.py", "it names no function: write one after a colon"),
        ("/flows/pick.py:pick", "the path begins at the folder of flows, not with a slash"),
        ("../pick.py:pick", "the path stays below the folder of flows, without `..`"),
        ("flows.pick:pick", "flows.pick is no file of Python, whose name ends with `.py`"),
        ("flows/pick.py:2pick", "`2pick` is not the name of a function"),
        ("flows/pick it.py:pick", "the path has letters, digits, dots, hyphens, underscores and"),
    ],
)
def test_an_entrypoint_error_is_a_sentence(entrypoint: str, said: str) -> None:
    found = problem(local("pick").replace(ENTRYPOINT, entrypoint))
    assert found.path == "/entrypoint"
    assert found.line is not None
    assert found.message.startswith(f"entrypoint: {said}")
    assert "such as flows/teams/warehouse/pick_and_pack.py:pick_and_pack" in found.message


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("name: pick", "name: Pick It", "name: words of a-z and 0-9 with hyphens"),
        ("version: 1.0.0", "version: 1.0.x", "version: three numbers with dots"),
        ("timeout: PT1H", "timeout: an hour", "timeout: a duration of ISO 8601"),
        ("timeout: PT1H", "timeout: PT0S", "timeout: a run would fault at once"),
        ("title: Pick", 'title: "Pick\\nand pack"', "title: it is one line"),
    ],
)
def test_no_pattern_is_shown(old: str, new: str, said: str) -> None:
    found = problem(local("pick").replace(old, new, 1))
    assert found.message.startswith(said)
    assert "^" not in found.message
