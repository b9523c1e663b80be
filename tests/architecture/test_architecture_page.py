"""`docs/architecture.md` shows the packages in the order of the contract, and names real files."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text()
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
LAYERS = CONTRACTS["contracts"][0]["layers"]
MODULE = re.compile(r"`((?:coe/)?[a-z_]+/(?:[a-z_]+/)*[a-z_]+\.py)`")


def test_the_picture_has_the_packages_in_their_order() -> None:
    [picture] = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)
    lines = [line.strip() for line in picture.splitlines() if line.startswith("   ")]
    shown = [re.split(r"\s{2,}", line)[0].split(", ") for line in lines]
    expected = [re.split(r" [:|] ", layer) for layer in LAYERS]
    assert shown == expected


@pytest.mark.parametrize("path", sorted(set(MODULE.findall(PAGE))))
def test_a_named_file_exists(path: str) -> None:
    assert (ROOT / "coe" / path.removeprefix("coe/")).exists()
