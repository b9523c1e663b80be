"""Mutation testing of the machine: `python -m tests.mutation --help`."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
import warnings
from collections import deque
from pathlib import Path

from tests.mutation.forks import begin_check, try_each
from tests.mutation.lists import Semantic, equivalents, semantic_mutants
from tests.mutation.operators import Mutant, mutants
from tests.mutation.world import World, mutated

CODE = Path(__file__).resolve().parents[2] / "coe"
# Facts and commands are plain data; redaction has its own tests.
DATA = {CODE / "machine" / f"{name}.py" for name in ("__init__", "commands", "facts", "redaction")}
# The machine, the table of expression variables, the patterns of event filters, and the rules of
# requests.
PATHS = {
    path.name: path
    for path in [
        *sorted(set((CODE / "machine").glob("*.py")) - DATA),
        CODE / "language" / "expressions" / "variables.py",
        CODE / "language" / "json_schema" / "patterns.py",
        CODE / "language" / "request_arguments.py",
    ]
}


KILLERS = 12
"""So many checks that noticed the latest mutants are tried first: neighbours often die alike."""


def main() -> int:
    """Try the chosen mutants, and report those that survive.

    Exits with 1 if a mutant survives without a reason, or is killed although it has one.
    """
    options = _options()
    sys.setrecursionlimit(3000)
    warnings.simplefilter("ignore")  # coroutines that a mutant never awaits
    signal.signal(signal.SIGPROF, signal.SIG_IGN)  # only mutants are limited
    world = World()
    failing = _killer(world, None, None)
    if failing is not None:
        _say(f"the unchanged machine does not pass: {failing}")
        return 2
    items = _items(options)
    started = time.monotonic()
    alive: list[str] = []
    wrong: list[str] = []
    known = equivalents()
    counts = {"total": len(items), "killed": 0, "equivalent": 0, "alive": 0}
    killers: deque[str] = deque(maxlen=KILLERS)

    def attempt(item: Item) -> str | None:
        return _killer(world, *item, tuple(killers))

    for item, verdict in try_each(items, attempt, options.jobs):
        mutant = item[0]
        if not verdict.alive:
            counts["killed"] += 1
            if verdict.by not in killers:
                killers.append(verdict.by)
            if mutant.name in known:
                wrong.append(mutant.name)
                _say(f"NOT EQUIVALENT {mutant.name}: killed by {verdict.by}")
        elif mutant.name in known:
            counts["equivalent"] += 1
        else:
            counts["alive"] += 1
            alive.append(f"{mutant.file}:{mutant.line}: {mutant.name}")
            _say(f"ALIVE {alive[-1]}")
        if options.verbose:
            _say(f"{mutant.name}: {verdict.by or 'alive'}")
    seconds = round(time.monotonic() - started, 1)
    report = {**counts, "seconds": seconds, "living": sorted(alive), "noticed": sorted(wrong)}
    sys.stdout.write(json.dumps(report, indent=2) + "\n")
    return 1 if alive or wrong else 0


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation")
    parser.add_argument("--semantic", action="store_true", help="try only the list of broken rules")
    parser.add_argument("--operators", action="store_true", help="try only the changes by operator")
    parser.add_argument("--every", type=int, default=1, help="try every n-th change by operator")
    parser.add_argument("--file", action="append", choices=PATHS, help="try only this file")
    parser.add_argument("--only", default="", help="try only mutants with this text in their names")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--verbose", action="store_true", help="report what killed each")
    return parser.parse_args()


Item = tuple[Mutant, frozenset[str] | None]


def _items(options: argparse.Namespace) -> list[Item]:
    """The mutants to try, each with the checks that should kill it (None: any may)."""
    sources = {name: PATHS[name].read_text() for name in options.file or PATHS}
    items: list[Item] = []
    if not options.operators:
        listed: list[Semantic] = semantic_mutants()
        items += [
            (one.mutant(sources[one.file]), one.shown_by) for one in listed if one.file in sources
        ]
    if not options.semantic:
        by_operator = [one for name, text in sources.items() for one in mutants(name, text)]
        items += [(one, None) for one in by_operator[:: options.every]]
    return [item for item in items if options.only in item[0].name]


def _killer(
    world: World,
    mutant: Mutant | None,
    shown_by: frozenset[str] | None,
    first: tuple[str, ...] = (),
) -> str | None:
    """The check that a mutant fails, those of these names tried first; None if it passes all."""
    with mutated(mutant):
        try:
            checks = world.checks(shown_by)
            if shown_by is None:
                checks = iter(sorted(checks, key=lambda check: check[0] not in first))
            for name, check in checks:
                begin_check()
                try:
                    check()
                except Exception:  # noqa: BLE001 - any failure kills the mutant
                    return name
        except Exception as error:  # noqa: BLE001 - the mutant cannot be loaded
            return f"loading: {type(error).__name__}"
    return None


if __name__ == "__main__":
    sys.exit(main())
