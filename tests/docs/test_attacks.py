"""The table of attacks in docs/security.md is that of the suite."""

from __future__ import annotations

from pathlib import Path

from tests.attacks.__main__ import table

PAGE = Path(__file__).resolve().parents[2] / "docs" / "security.md"


def test_the_page_has_the_attempts_of_the_suite() -> None:
    assert table() in PAGE.read_text(), "put the output of `python -m tests.attacks` into the page"
