from __future__ import annotations

from pathlib import Path

import pytest

from coe.errors import Unauthenticated
from coe.settings import Settings
from coe.worker import run_central_worker, run_team_worker


async def test_a_teams_worker_needs_its_token(tmp_path: Path) -> None:
    with pytest.raises(Unauthenticated):
        await run_team_worker(Settings(data_dir=tmp_path), "warehouse")


async def test_the_central_worker_needs_the_address_of_prefect(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="COE_PREFECT_URL"):
        await run_central_worker(Settings(data_dir=tmp_path))
