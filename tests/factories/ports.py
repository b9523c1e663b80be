"""Free ports of loopback that no other test process takes meanwhile."""

from __future__ import annotations

import itertools

from coe.demo.ports import reserve_port

# Below the range from which Linux takes the ports of outgoing connections (32768 and up), and
# above those that a demo prefers.
_PORTS = itertools.cycle(range(12_000, 30_000))


def free_port() -> int:
    """A port that nobody listens on, reserved for this process until it ends."""
    return reserve_port(itertools.islice(_PORTS, 1_000))
