from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from coe.crypto.envelope import Cell, DoesNotOpen, OpenKey, associated_data

CELL = Cell(table="runs", row="r1", column="input_sealed", team="sales")
KEY = OpenKey(UUID(int=1), "sales", "run", 3, AESGCM(bytes(range(32))))


@given(st.binary(max_size=300))
def test_a_sealed_value_opens_in_its_cell(data: bytes) -> None:
    sealed = KEY.seal(CELL, data)
    assert KEY.open(CELL, sealed) == data
    assert len(data) < 8 or data not in sealed[36:]


@pytest.mark.parametrize("part", ["table", "row", "column", "team"])
def test_a_value_moved_elsewhere_does_not_open(part: str) -> None:
    sealed = KEY.seal(CELL, b"Anna Berg")
    with pytest.raises(DoesNotOpen):
        KEY.open(replace(CELL, **{part: "other"}), sealed)


@pytest.mark.parametrize("change", [{"purpose": "audit"}, {"version": 4}, {"id": UUID(int=2)}])
def test_a_value_of_another_key_purpose_or_version_does_not_open(
    change: dict[str, object],
) -> None:
    sealed = KEY.seal(CELL, b"Anna Berg")
    with pytest.raises(DoesNotOpen):
        replace(KEY, **change).open(CELL, sealed)


def test_no_byte_of_a_sealed_value_can_be_changed_or_cut() -> None:
    sealed = KEY.seal(CELL, b"Anna Berg")
    changed = 0
    for index in range(len(sealed)):
        tampered = bytearray(sealed)
        tampered[index] ^= 0x40
        if 4 <= index < 24:
            continue  # the key's id and version, which test_keys changes
        with pytest.raises(DoesNotOpen):
            KEY.open(CELL, bytes(tampered))
        changed += 1
    assert changed == len(sealed) - 20
    for length in range(len(sealed)):
        with pytest.raises(DoesNotOpen):
            KEY.open(CELL, sealed[:length])


def test_the_same_value_seals_differently_each_time() -> None:
    assert len({KEY.seal(CELL, b"x") for _ in range(100)}) == 100


@given(st.lists(st.text(max_size=4), max_size=4), st.lists(st.text(max_size=4), max_size=4))
def test_no_two_cells_share_associated_data(one: list[str], other: list[str]) -> None:
    assert (associated_data(*one) == associated_data(*other)) == (one == other)
