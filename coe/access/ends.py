"""When memberships and grants end: a role that was granted until a time counts until then."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from coe.formats import instants


def live_grants(granted: Mapping[str, str], now: datetime) -> dict[str, str]:
    """Those of the granted roles (role to end) that count now; the role "" is the membership."""
    return {role: end for role, end in granted.items() if instants.read(end) > now}


def is_alive(expires_at: datetime | None, granted: Mapping[str, str], now: datetime) -> bool:
    """Whether a membership counts now, for itself or for a role that was granted beside it."""
    return expires_at is None or expires_at > now or bool(live_grants(granted, now))


def ends_of(expires_at: datetime | None, granted: Mapping[str, str]) -> Iterator[datetime]:
    """The times at which a membership gives less than before."""
    if expires_at is not None:
        yield expires_at
    yield from map(instants.read, granted.values())
