"""Every rule has scenarios or tests, and they fail when the rule is broken.

This tries all mutants that break a rule on purpose, and every 60th mutant by operator. The full run
is `python -m tests.mutation`, which takes some ten minutes on two processors.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from coe.language.source import read
from tests.machine.scenarios import scenarios
from tests.mutation.__main__ import PATHS
from tests.mutation.lists import equivalents, semantic_mutants
from tests.mutation.operators import mutants
from tests.mutation.world import BY_HAND

ROOT = Path(__file__).resolve().parents[2]
RULES: list[dict[str, Any]] = read((ROOT / "tests" / "machine" / "rules.yaml").read_text()).data[
    "rules"
]
SCENARIOS = {scenario.name for scenario in scenarios()}
HAND = "\n".join(
    (ROOT / f"{name.replace('.', '/')}.py").read_text()
    for name in [*BY_HAND, "tests.machine.test_properties"]
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["id"])
def test_the_scenarios_and_tests_of_a_rule_exist(rule: dict[str, Any]) -> None:
    assert set(rule.get("scenarios", ())) <= SCENARIOS
    for test in rule.get("tests", ()):
        file, _, name = test.rpartition("::") if "::" in test else (test, "", "")
        if "/" not in test:
            assert f"def {test}(" in HAND, test
        elif name:
            assert f"def {name}(" in (ROOT / file).read_text(), test
        else:
            assert (ROOT / file).exists(), test
    assert rule.get("scenarios") or rule.get("tests")


def test_every_rule_of_the_machine_is_broken_by_a_mutant() -> None:
    of_machine = {
        rule["id"]
        for rule in RULES
        if rule.get("scenarios") or any("/" not in test for test in rule["tests"])
    }
    listed = semantic_mutants()
    assert of_machine == {mutant.rule for mutant in listed}
    assert len(listed) >= 100
    assert [name for name, times in Counter(m.name for m in listed).items() if times > 1] == []


def test_each_equivalent_mutant_exists_and_has_a_reason() -> None:
    names = {m.name for path in PATHS.values() for m in mutants(path.name, path.read_text())}
    for name, reason in equivalents().items():
        assert name in names
        assert len(reason) > 20, name


def _mutate(*arguments: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.mutation", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    report: dict[str, Any] = json.loads(done.stdout)
    return report


@pytest.mark.timeout(900)
def test_broken_rules_are_noticed() -> None:
    report = _mutate("--every", "60")
    assert report["alive"] == 0
    assert report["total"] > 200


@pytest.mark.more
@pytest.mark.timeout(3600)
def test_every_change_by_operator_is_noticed() -> None:
    report = _mutate()
    assert report["alive"] == 0
    assert report["total"] > 1_500
