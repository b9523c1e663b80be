"""Which files with secrets are taken: those that nobody else can read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from coe.secret_files import SecretFileRefused, read_secret

OWN_GROUP = os.getegid()
OTHERS = OWN_GROUP + 4711


@pytest.fixture
def mounted(tmp_path: Path) -> Path:
    """A file behind links, as a kubelet mounts a Secret."""
    (tmp_path / "..2026").mkdir()
    (tmp_path / "..2026" / "kek").write_bytes(b"secret")
    (tmp_path / "..data").symlink_to("..2026")
    (tmp_path / "kek").symlink_to("..data/kek")
    return tmp_path / "kek"


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o440])
def test_the_files_of_a_secret_are_taken(mounted: Path, mode: int) -> None:
    mounted.chmod(mode)
    assert read_secret(mounted) == b"secret"


@pytest.mark.parametrize("mode", [0o444, 0o644, 0o640, 0o660, 0o460, 0o450, 0o604, 0o602, 0o601])
def test_a_file_that_others_can_read_or_change_is_refused(mounted: Path, mode: int) -> None:
    mounted.chmod(mode)
    with pytest.raises(SecretFileRefused, match=f"mode {mode:04o}.*chmod 600"):
        read_secret(mounted)


def test_a_group_may_read_what_another_owner_made_for_it(
    mounted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounted.chmod(0o640)
    monkeypatch.setattr(os, "geteuid", lambda: mounted.stat().st_uid + 1)
    assert read_secret(mounted) == b"secret"


@pytest.mark.parametrize("mode", [0o440, 0o640])
def test_a_group_that_this_process_is_not_in_may_not(
    mounted: Path, monkeypatch: pytest.MonkeyPatch, mode: int
) -> None:
    mounted.chmod(mode)
    monkeypatch.setattr(os, "getegid", lambda: OTHERS)
    monkeypatch.setattr(os, "getgroups", lambda: [OTHERS])
    with pytest.raises(SecretFileRefused):
        read_secret(mounted)
