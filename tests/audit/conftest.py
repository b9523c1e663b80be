"""A log over a fresh database, with its own keys and checkpoint file."""

from __future__ import annotations

from pathlib import Path

import pytest

from coe.crypto.keys import Keyring
from coe.crypto.signing import SigningKey
from coe.db import Database
from tests.factories.audit import Log


@pytest.fixture
def log(database: Database, tmp_path: Path) -> Log:
    return Log(
        database,
        Keyring(database, tmp_path / "kek"),
        SigningKey.load(tmp_path / "signing", "coe.test/audit"),
        tmp_path / "checkpoints",
    )
