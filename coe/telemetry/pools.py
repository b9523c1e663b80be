"""How much of each pool of connections is in use, read when Prometheus asks."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from coe.telemetry.declaring import REGISTRY, Label, declare

T = TypeVar("T")

_POOL: Final = Label("pool", "names of pools in the code")
IN_USE: Final = declare("coe_database_pool_in_use", "Connections of the pool in use.", _POOL)
SIZE: Final = declare("coe_database_pool_size", "The most connections of the pool.", _POOL)


@dataclass(frozen=True, slots=True)
class _Pool:
    name: str
    in_use: Callable[[Any], int]
    size: int


class _Pools(Collector):
    """The pools that are open; two of one name count together."""

    def __init__(self) -> None:
        self.open: weakref.WeakKeyDictionary[Any, _Pool] = weakref.WeakKeyDictionary()

    def collect(self) -> Iterator[Metric]:
        in_use, size = Counter[str](), Counter[str]()
        for owner, pool in list(self.open.items()):
            in_use[pool.name] += pool.in_use(owner)
            size[pool.name] += pool.size
        for declared, found in ((IN_USE, in_use), (SIZE, size)):
            family = GaugeMetricFamily(declared.name, declared.help, labels=[_POOL.name])
            for name, value in sorted(found.items()):
                family.add_metric([name], value)
            yield family

    def describe(self) -> Iterator[Metric]:
        for declared in (IN_USE, SIZE):
            yield GaugeMetricFamily(declared.name, declared.help)


_POOLS: Final = _Pools()
REGISTRY.register(_POOLS)


def watch_pool(owner: T, name: str, *, in_use: Callable[[T], int], size: int) -> None:
    """Export the pool of an owner as long as the owner is there."""
    _POOLS.open[owner] = _Pool(name, in_use, size)
