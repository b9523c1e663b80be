"""A log over a fresh database, with its own keys and checkpoint file."""

from __future__ import annotations

from pathlib import Path

import pytest

from coe.db import Database
from tests.factories.audit import Log, open_log


@pytest.fixture
def log(database: Database, tmp_path: Path) -> Log:
    return open_log(database, tmp_path)
