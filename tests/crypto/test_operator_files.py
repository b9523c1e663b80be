from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel

from coe.crypto.operator_files import OperatorFile, OperatorFileError, Teams, serves


class Content(BaseModel):
    teams: Teams


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path / "file.yaml", "teams: [sales]")


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o600)
    return path


def test_no_file_has_no_content() -> None:
    assert OperatorFile(None, Content).current() is None


def test_a_changed_file_is_read_again(path: Path) -> None:
    file = OperatorFile(path, Content)
    first = file.current()
    assert first == Content(teams=("sales",))
    assert file.current() is first
    write(path, "teams: [sales, finance]")
    assert file.current() == Content(teams=("sales", "finance"))


def test_another_file_in_its_place_is_read(path: Path, tmp_path: Path) -> None:
    file = OperatorFile(path, Content)
    file.current()
    write(tmp_path / "next.yaml", "teams: [wares]").replace(path)
    assert file.current() == Content(teams=("wares",))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("teams: [", "not valid YAML"),
        ("\x00", "not valid YAML"),
        ("teams: !!int Canary", "not valid YAML"),
        ("teams: !!bool Canary", "not valid YAML"),
        ("teams: !!timestamp Canary", "not valid YAML"),
        ("teams: 2024-13-45", "not valid YAML"),
        ("[]", "at: the top"),
        ("teams: []", "at: teams"),
        ("teams: [Canary]", "at: teams"),
    ],
)
def test_a_file_with_errors_has_no_content_until_it_is_corrected(
    path: Path, text: str, message: str
) -> None:
    file = OperatorFile(path, Content)
    file.current()
    write(path, text)
    for _ in range(2):
        with pytest.raises(OperatorFileError, match=message) as caught:
            file.current()
        assert "Canary" not in str(caught.value) + repr(file)
    write(path, "teams: ['*']")
    assert file.current() == Content(teams=("*",))


def test_a_missing_file_has_no_content(path: Path) -> None:
    file = OperatorFile(path, Content)
    file.current()
    path.unlink()
    with pytest.raises(OperatorFileError, match="cannot be read: FileNotFoundError"):
        file.current()


def test_a_file_that_others_can_read_has_no_content_until_its_mode_is_changed(path: Path) -> None:
    file = OperatorFile(path, Content)
    file.current()
    path.chmod(0o640)
    with pytest.raises(OperatorFileError, match="chmod 600"):
        file.current()
    path.chmod(0o600)
    assert file.current() == Content(teams=("sales",))


def test_teams() -> None:
    assert serves(("*",), "sales")
    assert serves(("sales",), "sales")
    assert not serves(("finance",), "sales")
