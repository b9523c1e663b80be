"""The shipped network policy: every example, and an example for every line."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from ruamel.yaml import YAML

from coe.access.files import read_files
from coe.access.network import Network
from tests.factories.policies import ROOT

TABLE: dict[str, list[dict[str, Any]]] = YAML(typ="safe").load(
    (ROOT / "policies" / "network-examples.yaml").read_text()
)
LINES = read_files(ROOT).network
ROWS = [(kind == "allowed", row) for kind, rows in TABLE.items() for row in rows]


def asked(row: dict[str, Any]) -> tuple[str, str, int, Any]:
    return row["team"], row["host"], row["port"], ipaddress.ip_address(row["address"])


@pytest.mark.parametrize(("allowed", "row"), ROWS, ids=str)
def test_example(allowed: bool, row: dict[str, Any]) -> None:  # noqa: FBT001  # a table
    assert Network(LINES).allows(*asked(row)) is allowed


def test_every_line_has_an_example_that_it_allows() -> None:
    allowed = [asked(row) for kind, row in ROWS if kind]
    without = [
        str(line) for line in LINES if not any(Network([line]).allows(*each) for each in allowed)
    ]
    public = [each for each in allowed if Network().allows(*each)]
    assert public, "an example of a public address"
    private = [each for each in allowed if each not in public]
    assert private
    assert not without


def test_the_table_has_both_kinds() -> None:
    assert set(TABLE) == {"allowed", "denied"}
