"""Where the content folders are: catalog, templates, flows and policies."""

from __future__ import annotations

from pathlib import Path

FOLDERS = ("catalog", "templates", "flows", "policies")


def root(configured: Path | None = None) -> Path:
    """The folder that holds the content folders: the setting, else the packaged, else the checkout.

    Raises:
        FileNotFoundError: None of the three has the folders.
    """
    package = Path(__file__).resolve().parent
    candidates = [configured] if configured else [package / "_content", package.parent]
    for candidate in candidates:
        if all((candidate / folder).is_dir() for folder in FOLDERS):
            return candidate
    places = ", ".join(str(candidate) for candidate in candidates)
    message = f"no content found in {places}: it needs the folders {', '.join(FOLDERS)}"
    raise FileNotFoundError(message)
