"""What is installed here, as a software bill of materials: CycloneDX 1.6.

The image keeps what `python -I -m coe.installation.sbom` prints as `/opt/coe/sbom.cdx.json`: the
packages of Python, those of npm whose files are served, and those of Debian if there are any. It
names no time and no random number, so the same packages give the same text.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

SERVED: Final = ("graphiql", "react", "react-dom")
"""The packages of npm whose files are copied to `coe/web/static/vendor`."""
DPKG: Final = Path("/var/lib/dpkg/status")


def bill(*, dpkg: Path = DPKG) -> dict[str, Any]:
    """The bill of materials of this interpreter and its machine."""
    parts = [*_python(), *_npm(), *_debian(dpkg)]
    own = next(each for each in parts if each["purl"].startswith("pkg:pypi/coe@"))
    parts.remove(own)
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {**own, "type": "application"}},
        "components": sorted(parts, key=lambda each: str(each["purl"])),
    }


def _python() -> Iterator[dict[str, Any]]:
    seen = set()
    for found in metadata.distributions():
        name = found.metadata["Name"].lower().replace("_", "-").replace(".", "-")
        if name in seen:  # an earlier place on the path hides it
            continue
        seen.add(name)
        yield _component("pypi", name, found.version, _license(found.metadata))


def _license(given: metadata.PackageMetadata) -> str | None:
    """The licence by its SPDX expression, else by the last part of its classifier."""
    for expression in given.get_all("License-Expression") or ():
        return str(expression)
    classifiers = (str(each) for each in given.get_all("Classifier") or ())
    named = [each.rpartition(" :: ")[2] for each in classifiers if each.startswith("License :: ")]
    return " AND ".join(sorted(set(named) - {"OSI Approved"})) or None


def _npm() -> Iterator[dict[str, Any]]:
    lock = Path(__file__).resolve().parents[1] / "web" / "package-lock.json"
    packages = json.loads(lock.read_text())["packages"]
    for name in SERVED:
        found = packages[f"node_modules/{name}"]
        yield _component("npm", name, found["version"], found.get("license"))


def _debian(status: Path) -> Iterator[dict[str, Any]]:
    if not status.is_file():
        return
    for stanza in status.read_text().split("\n\n"):
        fields = dict(
            line.split(": ", 1)
            for line in stanza.splitlines()
            if ": " in line and not line.startswith(" ")
        )
        if fields.get("Status", "").endswith(" installed"):
            yield _component("deb/debian", fields["Package"], fields["Version"], None)


def _component(kind: str, name: str, version: str, licence: str | None) -> dict[str, Any]:
    """One component, named by its package URL."""
    purl = f"pkg:{kind}/{quote(name, safe='')}@{quote(version, safe='.-')}"
    found: dict[str, Any] = {"type": "library", "bom-ref": purl, "name": name, "version": version}
    if licence is not None:
        found["licenses"] = [{"license": {"name": licence}}]
    return found | {"purl": purl}


if __name__ == "__main__":
    json.dump(bill(), sys.stdout, indent=1)
    sys.stdout.write("\n")
