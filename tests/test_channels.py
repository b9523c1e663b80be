"""Channels of the operator's file: its errors, its changes, and which channel reminds a team."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from coe.channels import Channels
from coe.crypto.operator_files import OperatorFileError

Write = Callable[[str], Channels]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes the file, and opens its channels."""

    def make(text: str) -> Channels:
        file = tmp_path / "channels.yaml"
        file.write_text(text)
        file.chmod(0o600)
        return Channels(file)

    return make


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("channels: [", "not valid YAML"),
        ("channels: {desk: {teams: [sales]}}", "channels.desk.urls"),
        ("channels: {desk: {urls: [], teams: [sales]}}", "channels.desk.urls"),
        ("channels: {desk: {urls: ['canary'], teams: [sales]}}", "channels.desk.urls"),
        ("channels: {desk: {urls: ['jsons://u:canary@h?verify=No'], teams: [sales]}}", "urls"),
        ("channels: {desk: {urls: ['jsons://u:canary@h'], teams: [Sales]}}", "teams"),
        ("channels: {desk: {urls: ['jsons://u:canary@h'], teams: [sales], more: 1}}", "desk.more"),
    ],
)
def test_a_file_with_errors(write: Write, text: str, message: str) -> None:
    channels = write(text)
    with pytest.raises(OperatorFileError, match=message) as caught:
        channels.current()
    assert "canary" not in str(caught.value)


def test_a_file_that_others_can_read_or_that_is_missing(write: Write, tmp_path: Path) -> None:
    channels = write("channels: {desk: {urls: ['jsons://h'], teams: [sales]}}")
    (tmp_path / "channels.yaml").chmod(0o644)
    with pytest.raises(OperatorFileError, match="chmod 600"):
        channels.current()
    with pytest.raises(OperatorFileError, match="cannot be read"):
        Channels(tmp_path / "none").current()
    assert Channels().current() == {}


def test_a_changed_file_is_read_again_and_shows_no_credentials(write: Write) -> None:
    channels = write("channels: {desk: {urls: ['jsons://u:canary@h'], teams: [sales]}}")
    assert set(channels.current()) == {"desk"}
    assert "canary" not in repr(channels) + repr(channels.current())
    assert channels.for_reminders("sales") is None
    write("channels: {bell: {urls: ['jsons://h'], teams: [sales], reminders: true}}")
    assert channels.for_reminders("sales") == "bell"
    assert channels.for_reminders("finance") is None
