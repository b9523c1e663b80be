"""Programs that Debian packages have, unpacked into a folder: nothing is installed or started."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest


def unpacked(package: str, folder: Path) -> Path:
    """The files of a package, from the archives that this machine's apt knows."""
    if not _run(["apt-get", "-qq", "download", package], folder):
        _run(["apt-get", "-qq", "update"], folder)
        _run(["apt-get", "-qq", "download", package], folder)
    [*found] = folder.glob("*.deb")
    if not found:
        pytest.fail(f"this test needs the Debian package {package}: apt-get download {package}")
    for each in found:
        subprocess.run(["dpkg-deb", "-x", each, folder], check=True)
    return folder


def _run(command: list[str], folder: Path) -> bool:
    try:
        return subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False
