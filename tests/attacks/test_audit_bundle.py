"""A bundle is passed off as an export of a log that it is not of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from coe.audit.bundle import export
from coe.cli.audit.known_logs import known_logs_file, origin_of, remember, trust
from coe.cli.main import cli
from coe.crypto.signing import SigningKey
from coe.db import Database
from tests.factories.audit import Log, event, open_log
from tests.factories.keys import signing_key

TRUE = signing_key(1)


@pytest.fixture(autouse=True)
def of_a_new_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture
def log(database: Database, tmp_path: Path) -> Log:
    return open_log(database, tmp_path)


async def forged(log: Log, signer: SigningKey, path: Path) -> Path:
    """A bundle of a log that the attacker made and signed, whole in itself."""
    own = Log(log.database, log.keyring, signer, log.file)
    await own.write(*(event(number, actor="somebody-else") for number in range(3)))
    await own.seal()
    async with own.database.session() as session:
        path.write_bytes(b"".join([line async for line in export(session, signer)]))
    return path


def verify(path: Path, *more: str) -> tuple[int, dict[str, Any]]:
    done = CliRunner().invoke(cli, ["audit", "verify", str(path), "-o", "json", *more])
    found: dict[str, Any] = json.loads(done.stdout)
    return done.exit_code, found


async def test_a_forged_bundle_that_brings_its_own_key(log: Log, tmp_path: Path) -> None:
    path = await forged(log, signing_key(2), tmp_path / "bundle")
    code, found = verify(path)
    assert (code, found["ok"], found["consistent"]) == (1, False, True)
    assert [each["code"] for each in found["problems"]] == ["AUDIT_KEY_NOT_PINNED"]
    shown = CliRunner().invoke(cli, ["audit", "verify", str(path)])
    assert shown.stdout.startswith("consistent with its own key only")


async def test_a_forged_bundle_of_a_log_whose_key_is_known(log: Log, tmp_path: Path) -> None:
    remember(TRUE.vkey, "https://coe.example")
    path = await forged(log, signing_key(2), tmp_path / "bundle")
    code, found = verify(path)
    assert (code, found["ok"], found["consistent"]) == (1, False, False)
    assert found["key"] == TRUE.vkey


async def test_a_forged_bundle_of_a_log_with_a_similar_name(log: Log, tmp_path: Path) -> None:
    remember(TRUE.vkey, "https://coe.example")
    path = await forged(log, signing_key(2, name=f"{TRUE.name}s"), tmp_path / "bundle")
    code, found = verify(path)
    assert (code, found["ok"], found["keySource"]) == (1, False, "bundle")


async def test_a_forged_bundle_with_the_true_key_in_its_header(log: Log, tmp_path: Path) -> None:
    path = await forged(log, signing_key(2), tmp_path / "bundle")
    path.write_bytes(path.read_bytes().replace(signing_key(2).vkey.encode(), TRUE.vkey.encode()))
    for more in ((), ("--key", TRUE.vkey)):
        code, found = verify(path, *more)
        assert (code, found["ok"]) == (1, False)


def test_a_server_with_another_key_takes_the_place_of_a_known_one() -> None:
    remember(TRUE.vkey, "https://coe.example")
    other = signing_key(2).vkey
    assert remember(other, "https://coe.example").key == TRUE.vkey
    assert json.loads(known_logs_file().read_text())[origin_of(other)]["key"] == TRUE.vkey
    assert trust(other, "coe audit trust").key == other  # a person who was told the new key
