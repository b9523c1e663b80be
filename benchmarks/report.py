"""The tables of `runs.py`: medians over the rounds, and ratios taken within each round."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Final

from race import Lap

MICRO: Final = 1e6
MILLI: Final = 1e3


@dataclass(slots=True)
class Results:
    """The laps of each contender in each discipline, in the order of the rounds."""

    laps: dict[str, dict[str, list[Lap]]] = field(default_factory=dict)

    def add(self, name: str, discipline: str, lap: Lap) -> None:
        """Note a lap."""
        self.laps.setdefault(discipline, {}).setdefault(name, []).append(lap)

    def rate(self, discipline: str, name: str) -> float:
        """Steps a second, the median."""
        return median(lap.rate for lap in self.laps[discipline][name])

    def latency(self, discipline: str, name: str) -> float:
        """Seconds of one run, the median over the medians of the rounds."""
        return median(median(lap.latencies) for lap in self.laps[discipline][name])

    def own(self, discipline: str, name: str) -> float:
        """Seconds of the contender's processor a step."""
        return median(lap.own / lap.steps for lap in self.laps[discipline][name])

    def postgres(self, discipline: str, name: str) -> float:
        """Seconds of PostgreSQL's processor a step."""
        return median(lap.postgres / lap.steps for lap in self.laps[discipline][name])

    def times(self, discipline: str, name: str, other: str) -> float | None:
        """How many times as fast as another, the median of the ratios within each round."""
        laps = self.laps[discipline]
        if other not in laps or name not in laps:
            return None
        pairs = zip(laps[name], laps[other], strict=False)
        return median(
            median(theirs.latencies) / median(mine.latencies)
            if mine.order.concurrency == 1
            else mine.rate / theirs.rate
            for mine, theirs in pairs
        )

    def table(self, discipline: str, against: Sequence[str]) -> Iterable[str]:
        """The lines of one discipline's table."""
        heads = "".join(f"{'over ' + other:>18}" for other in against)
        yield f"{'':14}{'steps/s':>9}{'a run':>11}{'own CPU':>10}{'PostgreSQL':>12}{heads}"
        for name in self.laps[discipline]:
            ratios = "".join(
                f"{ratio:18.2f}" if (ratio := self.times(discipline, name, other)) else " " * 18
                for other in against
            )
            yield (
                f"{name:14}{self.rate(discipline, name):9,.0f}"
                f"{self.latency(discipline, name) * MILLI:8.1f} ms"
                f"{self.own(discipline, name) * MICRO:7.0f} µs"
                f"{self.postgres(discipline, name) * MICRO:9.0f} µs{ratios}"
            )

    def overhead(self, discipline: str, ours: str, plain: str) -> tuple[float, float]:
        """What ours adds to plain, as parts of plain's own: wall clock and processor time."""
        laps = self.laps[discipline]
        pairs = list(zip(laps[ours], laps[plain], strict=True))
        wall = median(mine.seconds / theirs.seconds for mine, theirs in pairs)
        work = median(_work(mine) / _work(theirs) for mine, theirs in pairs)
        return wall - 1, work - 1

    def as_json(self) -> object:
        """Everything that was measured."""
        return {
            discipline: {
                name: [
                    {
                        "runs": lap.order.runs,
                        "steps": lap.order.steps,
                        "concurrency": lap.order.concurrency,
                        "seconds": lap.seconds,
                        "own_cpu": lap.own,
                        "postgres_cpu": lap.postgres,
                        "latencies": lap.latencies,
                    }
                    for lap in laps
                ]
                for name, laps in named.items()
            }
            for discipline, named in self.laps.items()
        }


def _work(lap: Lap) -> float:
    return lap.own + lap.postgres
