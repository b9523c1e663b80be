"""The revisions of the schema that this code knows: a file each."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

VERSIONS: Final = Path(__file__).parent.parent / "migrations" / "versions"
"""The folder of the revisions; the name of each file begins with its number."""


@cache
def newest_known(versions: Path = VERSIONS) -> str:
    """The newest revision that this code knows."""
    return max(file.name[:4] for file in versions.glob("[0-9]*.py"))
