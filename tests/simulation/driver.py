"""Drives many worlds: `python -m tests.simulation --runs 2000`, or one: `--seed 17 --trace`."""

from __future__ import annotations

import argparse
import gc
import logging
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.simulation import seams
from tests.simulation.world import RUNS, Report, World


@dataclass(slots=True)
class Totals:
    """What many worlds came to."""

    worlds: int = 0
    runs: int = 0
    children: int = 0
    virtual: float = 0.0
    blows: Counter[str] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    features: Counter[str] = field(default_factory=Counter)
    failed: list[Report] = field(default_factory=list)

    def add(self, report: Report) -> None:
        self.worlds += 1
        self.runs += report.runs
        self.children += report.children
        self.virtual += report.seconds
        self.blows += report.blows
        self.states += report.states
        self.counts += report.counts
        self.features += report.features
        if report.violations:
            self.failed.append(report)

    def lines(self) -> Iterator[str]:
        yield f"{self.runs} runs and {self.children} called by them, in {self.worlds} worlds"
        yield f"blows: {sum(self.blows.values())} {dict(self.blows.most_common())}"
        yield f"states: {dict(self.states.most_common())}"
        for name, count in sorted(self.counts.items()):
            yield f"{name}: {count}"
        yield f"tasks: {dict(self.features.most_common())}"
        yield f"simulated hours: {self.virtual / 3600:.1f}"
        yield f"worlds with violations: {len(self.failed)}"


def simulate(seed: int, runs: int = RUNS, *, trace: bool = False) -> Report:
    """One world, from its seed."""
    return World(seed, runs=runs, trace=trace).simulate()


def _prepare() -> None:
    seams.install()
    logging.disable(logging.CRITICAL)
    gc.disable()


def _one(arguments: tuple[int, int]) -> Report:
    seed, runs = arguments
    report = simulate(seed, runs)
    if seed % 4 == 0:
        gc.collect()
    return report


def many(seeds: range, *, runs: int, jobs: int) -> Iterator[Report]:
    """Worlds of these seeds, in some order."""
    work = [(seed, runs) for seed in seeds]
    if jobs == 1:
        _prepare()
        yield from map(_one, work)
        return
    with multiprocessing.get_context("spawn").Pool(jobs, _prepare, maxtasksperchild=None) as pool:
        yield from pool.imap_unordered(_one, work, chunksize=2)


def main() -> None:
    """Parse the command line, simulate, print; exit 1 if anything was ever wrong."""
    if os.environ.get("PYTHONHASHSEED") != "0":  # the order of sets of text must replay
        os.execve(  # noqa: S606  # this program again
            sys.executable,
            [sys.executable, "-m", "tests.simulation", *sys.argv[1:]],
            os.environ | {"PYTHONHASHSEED": "0"},
        )
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--runs", type=int, help="about how many runs, in worlds from seed 0")
    parser.add_argument("--seeds", help="worlds by their seeds, as FROM:TO")
    parser.add_argument("--seed", type=int, help="one world")
    parser.add_argument("--per-world", type=int, default=RUNS, help="runs in a world")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--mutant", help="a seeded bug: stop at the first world that shows it")
    parser.add_argument("--trace", action="store_true", help="print what happens")
    given = parser.parse_args()
    if given.seed is not None:
        _prepare()
        report = simulate(given.seed, given.per_world, trace=given.trace)
        _print("\n".join(report.trace))
        totals = Totals()
        totals.add(report)
        _finish(totals, 0.0)
    if given.mutant is not None:
        _hunt(given.mutant, given.seeds or "0:100", given.per_world)
    first, last = 0, (given.runs or 2000) // given.per_world + 1
    if given.seeds:
        first, last = (int(part) for part in given.seeds.split(":"))
    began, totals = time.monotonic(), Totals()
    printed = began
    for report in many(range(first, last), runs=given.per_world, jobs=given.jobs):
        totals.add(report)
        for violation in report.violations[:3]:
            _print(f"seed {report.seed}: {violation}")
        if time.monotonic() - printed > 30:  # twice a minute
            printed = time.monotonic()
            _print(f"… {totals.runs} runs, {len(totals.failed)} failed, {printed - began:.0f} s")
    _finish(totals, time.monotonic() - began)


def _hunt(name: str, seeds: str, runs: int) -> None:
    """Exit 1 at the first world in which the seeded bug shows, 0 if it never does."""
    from tests.simulation.mutants import MUTANTS  # noqa: PLC0415  # they come with the platform

    _prepare()
    MUTANTS[name]()
    first, last = (int(part) for part in seeds.split(":"))
    for seed in range(first, last):
        report = World(seed, runs=runs, harsh=True).simulate()
        gc.collect()
        if report.violations:
            _print(f"{name}: found by seed {seed}: {report.violations[0]}")
            sys.exit(1)
    _print(f"{name}: not found by the seeds {seeds}")
    sys.exit(0)


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _finish(totals: Totals, seconds: float) -> None:
    for line in totals.lines():
        _print(line)
    for report in totals.failed[:20]:
        _print(f"seed {report.seed}: {'; '.join(report.violations[:4])}")
    _print(f"seconds: {seconds:.1f}")
    sys.exit(1 if totals.failed else 0)
