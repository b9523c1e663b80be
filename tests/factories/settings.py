"""Settings that several tests change."""

from __future__ import annotations

from typing import Any, Final

ONE_CONNECTION: Final[dict[str, Any]] = {
    "database_pool_size": 1,
    "database_pool_overflow": 0,
    "database_readers": 1,
}
"""One connection in the pool of a process, and one for reads of one statement."""
