"""The scenarios cover the conformance kit of the specification."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from coe.language.source import read
from tests.machine.scenarios import scenarios

ROOT = Path(__file__).parent
KIT: Any = read((ROOT / "conformance.yaml").read_text()).data["scenarios"]
NAMES = [scenario.name for scenario in scenarios()]


def test_scenarios_have_unique_names():
    assert [name for name, times in Counter(NAMES).items() if times > 1] == []


def test_each_scenario_of_the_conformance_kit_is_covered():
    assert {each["here"] for each in KIT} <= set(NAMES)
    assert Counter(each["feature"] for each in KIT) == {
        "branch": 1,
        "call": 5,
        "composite": 2,
        "data-flow": 3,
        "do": 1,
        "emit": 1,
        "flow": 2,
        "for": 1,
        "raise": 1,
        "set": 1,
        "switch": 3,
        "try": 2,
    }
