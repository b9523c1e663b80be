"""A log over a fresh database, with its own keys and checkpoint file."""

from __future__ import annotations

from pathlib import Path

import pytest

from coe.crypto.keys import Keyring
from coe.db import Database
from tests.factories.audit import Log
from tests.factories.keys import signing_key


@pytest.fixture
def log(database: Database, tmp_path: Path) -> Log:
    return Log(
        database,
        Keyring(database, tmp_path / "kek"),
        signing_key(),
        tmp_path / "checkpoints",
    )
