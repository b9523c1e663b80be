"""The location of the content folders: catalog, templates, flows and policies."""

from __future__ import annotations

from pathlib import Path

FOLDERS = ("catalog", "templates", "flows", "policies")


def root(configured: Path | None = None) -> Path:
    """Find the parent of the content folders: `configured`, else the package, else the checkout.

    Raises:
        FileNotFoundError: The folders are in none of them.
    """
    package = Path(__file__).resolve().parent
    candidates = [configured] if configured else [package / "_content", package.parent]
    for candidate in candidates:
        if all((candidate / folder).is_dir() for folder in FOLDERS):
            return candidate
    places = ", ".join(str(candidate) for candidate in candidates)
    message = f"no content in {places}: the folders {', '.join(FOLDERS)} are required"
    raise FileNotFoundError(message)
