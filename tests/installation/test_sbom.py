"""The bill of materials: every package once, by its package URL, and the same each time."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from coe.installation.sbom import SERVED, bill

STATUS = """Package: libc6
Status: install ok installed
Version: 2.36-9+deb12u10
Description: a library
 with a: colon in it

Package: gone
Status: deinstall ok config-files
Version: 1
"""


def test_it_names_what_is_installed(tmp_path: Path) -> None:
    status = tmp_path / "status"
    status.write_text(STATUS)
    found = bill(dpkg=status)
    names = [each["purl"] for each in found["components"]]
    assert len(set(names)) == len(names)
    assert names == sorted(names)
    assert f"pkg:pypi/prefect@{metadata.version('prefect')}" in names
    assert [each for each in names if each.startswith("pkg:deb")] == [
        "pkg:deb/debian/libc6@2.36-9%2Bdeb12u10"
    ]
    assert {each.split("/")[1].split("@")[0] for each in names if "pkg:npm" in each} == set(SERVED)
    assert found["metadata"]["component"]["name"] == "coe"
    assert bill(dpkg=status) == found


def test_a_machine_without_debians_packages_has_none(tmp_path: Path) -> None:
    found = bill(dpkg=tmp_path / "none")
    assert not [each for each in found["components"] if "pkg:deb" in each["purl"]]
