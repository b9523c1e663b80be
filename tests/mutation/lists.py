"""The rules broken on purpose, and the mutants that change nothing; both as data."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from coe.language.source import read
from tests.mutation.operators import Mutant

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Semantic:
    """A rule broken on purpose: a replaced text of a file, and the checks that must fail.

    `shown_by` has the names of the scenarios of the rule, and of its tests by hand.
    """

    name: str
    rule: str
    file: str
    original: str
    mutated: str
    shown_by: frozenset[str]

    def mutant(self, source: str) -> Mutant:
        """The module with the rule broken.

        Raises:
            ValueError: the text does not occur exactly once.
        """
        if source.count(self.original) != 1:
            raise ValueError(f"{self.name}: its text occurs {source.count(self.original)} times")
        line = source[: source.index(self.original)].count("\n") + 1
        changed = source.replace(self.original, self.mutated)
        return Mutant(self.file, line, self.name, partial(ast.parse, changed))


def semantic_mutants() -> list[Semantic]:
    """The mutants of `semantic.yaml`, with the scenarios of the rule that each breaks."""
    rules = {rule["id"]: rule for rule in _read(HERE.parent / "machine" / "rules.yaml")["rules"]}
    return [
        Semantic(
            name=one["name"],
            rule=one["rule"],
            file=one["file"],
            original=one["original"],
            mutated=one["mutated"],
            shown_by=frozenset(
                [*rules[one["rule"]].get("scenarios", ()), *rules[one["rule"]].get("tests", ())]
            ),
        )
        for one in _read(HERE / "semantic.yaml")["mutants"]
    ]


def equivalents() -> dict[str, str]:
    """The reasons why mutants by operator change nothing observable, by their names."""
    return {one["mutant"]: one["reason"] for one in _read(HERE / "equivalent.yaml")["equivalent"]}


def _read(file: Path) -> Any:
    return read(file.read_text(), file=str(file)).data
