"""The generated references, and the list of decisions, are those of the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from coe.settings.sources import SECRETS
from tests.docs import chart
from tests.docs.references import FOLDER, PAGES

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.mark.parametrize("name", PAGES)
def test_a_reference_is_that_of_the_code(name: str) -> None:
    written = (FOLDER / name).read_text(encoding="utf-8")
    assert written == PAGES[name](), "run `make references`"


@pytest.mark.parametrize("file", chart.FILES, ids=lambda file: file.name)
def test_a_file_of_the_chart_is_that_of_the_code(file: Path) -> None:
    assert file.read_text(encoding="utf-8") == chart.FILES[file](), "run `make references`"


def test_a_secret_has_its_place_in_the_chart_and_not_in_config() -> None:
    secrets = {f"COE_{name.upper()}" for name in SECRETS}
    given = chart.secret_variables()
    assert secrets - given <= set(chart.OF_THE_CHART), "name it in secretTable and values.yaml"
    assert not (secrets | given) & set(chart.config_schema()["properties"])


def test_every_decision_is_listed_with_its_title_and_status() -> None:
    listed = (DOCS / "decisions.md").read_text(encoding="utf-8")
    for record in sorted((DOCS / "adr").glob("*.md")):
        text = record.read_text(encoding="utf-8")
        match = re.match(r"# (\d+)\. (.+)\n\nStatus: ([^.]+)\. Date: (\S+)\.", text)
        assert match is not None
        row = f"| [{match[1]}](adr/{record.name}) | {match[2]} | {match[3]} | {match[4]} |"
        assert row in listed, row


def test_every_page_is_in_the_navigation() -> None:
    navigation = (DOCS.parent / "mkdocs.yml").read_text(encoding="utf-8")
    for page in DOCS.rglob("*.md"):
        name = str(page.relative_to(DOCS))
        assert name.startswith("adr/") or f": {name}\n" in navigation, name
