"""Times of a run: later ones, within what can be stored."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

EARLIEST: Final = datetime.min.replace(tzinfo=UTC)
"""Before every time of a run."""

LATEST: Final = datetime(9999, 1, 1, tzinfo=UTC)
"""No due time is later: beyond it, times can be neither stored nor written."""


def later(at: datetime, after: timedelta) -> datetime:
    """The time `after` later, but at most `LATEST`."""
    return at + min(after, max(LATEST - at, timedelta()))
