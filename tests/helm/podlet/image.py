"""The image, built as anybody builds it, on a base that is made here of Debian's packages.

No registry of images is within reach of these tests, so the base is Debian with its Python in place
of the official image of Python: the same distribution, and the Dockerfile takes either.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
TOOLS = {
    "mmdebstrap": "mmdebstrap",
    "buildah": "buildah",
    "runc": "runc",
    "ip": "iproute2",
}
"""The commands that are needed, and the package of each."""
SECCOMP = Path("/usr/share/containers/seccomp.json")
BASE = Path(f"/tmp/coe-image-base-{os.geteuid()}")  # noqa: S108  # of this user alone
AUTHORITIES = Path("/etc/ssl/certs")
OF_PIP = ("/etc/pip.conf", "/etc/xdg/pip", "/opt/pypi", "/opt/wheels")
"""Where pip finds the registry of this machine, if it is not the usual one."""


def require_tools() -> None:
    """Install what is missing."""
    assert os.geteuid() == 0, "the image is built and run by root: pods have users of their own"
    missing = {package for command, package in TOOLS.items() if shutil.which(command) is None}
    missing |= set() if SECCOMP.is_file() else {"golang-github-containers-common"}
    if missing:
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        for command in (
            ["apt-get", "update", "-qq"],
            ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *sorted(missing)],
        ):
            run(command, env=environment)


def run(command: list[str], **options: Any) -> str:
    """Run it to its end, and give what it prints."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
    return done.stdout


class Image:
    """The built image: its root file system, and what it says of how it is run."""

    def __init__(self, folder: Path) -> None:
        """Keep the storage of the build in the folder."""
        places = ["--root", str(folder / "storage"), "--runroot", str(folder / "run")]
        self._buildah = ["buildah", "--storage-driver", "overlay", *places]
        self._folder = folder
        self.config: dict[str, Any] = {}
        self.root = Path()
        self._container = ""

    def build(self) -> None:
        """Build the base, if this machine has none of these tests yet, and the image on it."""
        base = self._base()
        npmrc = self._folder / "npmrc"
        npmrc.write_text(f"cafile={AUTHORITIES / 'ca-certificates.crt'}\n")
        given = [str(AUTHORITIES), *(each for each in OF_PIP if Path(each).exists())]
        volumes = [f"{each}:{each}:ro" for each in given] + [f"{npmrc}:/root/.npmrc:ro"]
        options = ["--isolation", "chroot", "--build-arg", f"PYTHON_IMAGE={base}"]
        options += [part for each in volumes for part in ("--volume", each)]
        run([*self._buildah, "bud", *options, "--tag", "coe", str(ROOT)])
        about = json.loads(run([*self._buildah, "inspect", "--type", "image", "coe"]))
        self.config = about["OCIv1"]["config"]
        self._container = run([*self._buildah, "from", "--pull-never", "coe"]).strip()
        self.root = Path(run([*self._buildah, "mount", self._container]).strip())

    def _base(self) -> str:
        archive = BASE / "base.tar"
        if not archive.is_file():
            BASE.mkdir(mode=0o700, exist_ok=True)
            made = BASE / f"made-{os.getpid()}.tar"
            options = ["--variant=minbase", "--include=python3,python3-venv,ca-certificates"]
            run(["mmdebstrap", *options, "bookworm", str(made)])
            made.rename(archive)
        name = run([*self._buildah, "from", "scratch"]).strip()
        run([*self._buildah, "add", name, str(archive), "/"])
        run([*self._buildah, "commit", "--rm", name, "coe-base"])
        return "localhost/coe-base"

    def remove(self) -> None:
        """Unmount the root file system, and remove the storage."""
        if self._container:
            run([*self._buildah, "umount", self._container])
        run([*self._buildah, "rmi", "--all", "--force"])
