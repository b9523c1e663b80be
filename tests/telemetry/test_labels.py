"""Labels are bounded, and name no flow that is confidential."""

from __future__ import annotations

import pytest

from coe.access.actor import DataClass
from coe.telemetry.labels import FLOWS, HIDDEN, OTHER, Bounded, flow_of


def test_the_first_values_are_taken_and_further_ones_are_other() -> None:
    bounded = Bounded(2)
    assert [bounded.of(each) for each in ("a", "b", "c", "a", "d")] == ["a", "b", OTHER, "a", OTHER]


@pytest.mark.parametrize("data_class", sorted(DataClass))
def test_a_flow_is_named_unless_it_is_confidential(
    data_class: DataClass, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FLOWS, "most", 10_000)
    shown = data_class in {DataClass.PUBLIC, DataClass.INTERNAL}
    assert flow_of("sales/named", data_class.value) == ("sales/named" if shown else HIDDEN)


def test_no_flow_is_named_if_the_operator_wants_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FLOWS, "most", 0)
    assert flow_of("sales/never-named", "PUBLIC") == OTHER
