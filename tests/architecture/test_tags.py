"""Every tag of the log is recorded by some verb, and says what it stands for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from coe.audit.events import Tag

ROOT = Path(__file__).resolve().parents[2]
EVENTS = ROOT / "coe" / "audit" / "events.py"
SOURCE = "\n".join(path.read_text() for path in (ROOT / "coe").rglob("*.py") if path != EVENTS)


@pytest.mark.parametrize("tag", list(Tag), ids=lambda tag: tag.value)
def test_a_tag_is_recorded_and_described(tag: Tag) -> None:
    assert re.search(rf"\bTag\.{tag.name}\b", SOURCE), "no verb records it"
    assert re.search(rf'{tag.name} = "{tag.value}".*\n    """.+"""', EVENTS.read_text())


def test_tags_are_sorted_and_of_one_grammar() -> None:
    values = [tag.value for tag in Tag]
    assert values == sorted(values)
    assert all(re.fullmatch(r"[a-z]+:[a-z_]+:[a-z_]+", value) for value in values)
