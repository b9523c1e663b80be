"""Message authentication codes by keys outside the database."""

from __future__ import annotations

from pathlib import Path

import pytest

from coe.crypto.mac import MacKeys, MacPurpose, add_key, create_keys, read_keys
from coe.secret_files import KeyFileMissing, SecretFileRefused


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The file of the keys, with one."""
    made = tmp_path / "keys" / "mac"
    assert create_keys(made)
    return made


def test_a_code_verifies_only_for_its_parts_and_its_purpose(file: Path) -> None:
    macs = MacKeys(file)
    code = macs.code(MacPurpose.SESSION, b"a", b"bc")
    assert macs.verify(MacPurpose.SESSION, code, b"a", b"bc")
    assert not macs.verify(MacPurpose.SESSION, code, b"ab", b"c")
    assert not macs.verify(MacPurpose.SESSION, code, b"a", b"bc", b"")
    assert not macs.verify(MacPurpose.ACCESS_TOKEN, code, b"a", b"bc")
    assert not macs.verify(MacPurpose.SESSION, None, b"a", b"bc")
    assert not macs.verify(MacPurpose.SESSION, code[:-1], b"a", b"bc")


def test_two_processes_have_the_same_keys_and_another_file_has_others(
    file: Path, tmp_path: Path
) -> None:
    code = MacKeys(file).code(MacPurpose.AUDIT_EVENT, b"event")
    assert MacKeys(file).verify(MacPurpose.AUDIT_EVENT, code, b"event")
    create_keys(tmp_path / "other")
    assert not MacKeys(tmp_path / "other").verify(MacPurpose.AUDIT_EVENT, code, b"event")


def test_a_missing_file_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(KeyFileMissing, match="restore its backup"):
        MacKeys(tmp_path / "mac").code(MacPurpose.SESSION, b"x")
    assert list(tmp_path.iterdir()) == []


def test_a_new_key_makes_new_codes_and_the_old_ones_still_verify(file: Path) -> None:
    macs = MacKeys(file)
    old = macs.code(MacPurpose.ACCESS_TOKEN, b"token")
    add_key(file)
    new = macs.code(MacPurpose.ACCESS_TOKEN, b"token")
    assert new != old
    assert macs.codes(MacPurpose.ACCESS_TOKEN, b"token") == (new, old)
    assert macs.verify(MacPurpose.ACCESS_TOKEN, old, b"token")


def test_a_key_that_was_removed_verifies_nothing(file: Path) -> None:
    macs = MacKeys(file)
    old = macs.code(MacPurpose.ACCESS_TOKEN, b"token")
    add_key(file)
    newest = file.read_text().splitlines(keepends=True)[-1]
    file.write_text(newest)
    assert not macs.verify(MacPurpose.ACCESS_TOKEN, old, b"token")


def test_the_file_is_the_owners_alone(file: Path) -> None:
    MacKeys(file).code(MacPurpose.SESSION, b"x")
    assert file.stat().st_mode & 0o777 == 0o600
    file.chmod(0o640)
    with pytest.raises(SecretFileRefused, match="chmod 600"):
        MacKeys(file).code(MacPurpose.SESSION, b"x")


@pytest.mark.parametrize(
    "content",
    ["", "0123456789abcdef AAAA\n", "x\n", "0123456789abcdef " + "A" * 43 + "=\n"],
    ids=["empty", "short", "no key", "another fingerprint"],
)
def test_a_damaged_file_is_refused(file: Path, content: str) -> None:
    add_key(file)
    file.write_text(content)
    with pytest.raises(SecretFileRefused):
        read_keys(file)
