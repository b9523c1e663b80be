from __future__ import annotations

import pytest

from coe.json_types import JSON
from coe.runs.sealing import TeamSealer
from coe.runs.tables import RUNS
from coe.work import Platform


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (2**64 - 1, 2**64 - 1),
        (2**70, float(2**70)),
        ({"deep": [-(2**70), 0.1, 1.0]}, {"deep": [-float(2**70), 0.1, 1.0]}),
        ("half \ud800 a pair", "half ? a pair"),
        (None, None),
    ],
)
async def test_what_other_systems_send_can_be_sealed(
    platform: Platform, value: JSON, expected: JSON
) -> None:
    sealer = TeamSealer(platform.keyring, "sales")
    sealed = await sealer.seal(RUNS, "1", "input", value)
    assert await sealer.open(RUNS, "1", "input", sealed) == expected
