"""Random definitions of the process language, from dice, with what they should come to."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

Task = dict[str, Any]

RAISED: Final = "https://example.com/errors/raised"
EVENTS: Final = ("com.example.paid", "com.example.shipped", "com.example.seen")
LOCAL: Final = "warehouse/pack"
MAX_TASKS: Final = 10


@dataclass(slots=True)
class Written:
    """A definition as text, and whether its output is the same whatever the timing."""

    text: str
    certain: bool
    features: frozenset[str]


@dataclass
class _Writer:
    dice: random.Random
    children: tuple[str, ...]
    number: int = 0
    certain: bool = True
    caught: int = 0
    features: set[str] = field(default_factory=set)

    def name(self, kind: str) -> str:
        self.number += 1
        return f"{kind}{self.number}"

    def block(self, depth: int, most: int = 3) -> list[Task]:
        """Some tasks in a row."""
        return [self.task(depth) for _ in range(self.dice.randint(1, most))]

    def task(self, depth: int) -> Task:
        simple: list[tuple[int, Callable[[], Task]]] = [
            (9, self.leaf),
            (3, self.set),
            (3, self.wait),
            (3, self.human),
            (3, self.listen),
            (2, self.local),
            (2, self.child),
            (2, self.emit),
            (1, self.shaky),
        ]
        nested: list[tuple[int, Callable[[], Task]]] = [
            (5, lambda: self.fork(depth)),
            (3, lambda: self.loop(depth)),
            (3, lambda: self.attempt(depth)),
            (2, lambda: self.map(depth)),
            (2, lambda: self.choice(depth)),
            (2, lambda: self.race(depth)),
            (2, lambda: self.bounded(depth)),
            (1, lambda: self.do(depth)),
        ]
        deep = depth > 0 and self.number < MAX_TASKS
        choices = simple + (nested if deep else [])
        makers = [make for _, make in choices]
        made = self.dice.choices(makers, [weight for weight, _ in choices])[0]()
        [kind] = made.keys()
        self.features.add(kind.rstrip("0123456789"))
        return made

    # ------------------------------------------------------------------ simple

    def leaf(self, prefix: str = "ok", **more: Any) -> Task:
        name = self.name(prefix)
        arguments = {
            "method": "post",
            "endpoint": f"https://erp.example.com/{name}",
            "body": {"was": "${ . }"},
        }
        return {name: {"call": "http", "with": arguments, **more}}

    def shaky(self) -> Task:
        """Fails at its first executions: caught by a try, or repeated by a retry of the run."""
        if not self.caught and self.features & {"shaky_a"}:
            return self.leaf()
        if not self.caught:
            self.features.add("shaky_a")
        return self.leaf("shaky_a" if self.dice.random() < 0.7 else "shaky_b")  # mostly once

    def set(self) -> Task:
        return {self.name("set"): {"set": {"was": "${ . }", "n": self.number}}}

    def wait(self) -> Task:
        times = [{"milliseconds": 200}, {"seconds": 1}, {"seconds": 5}, {"seconds": 25}]
        return {self.name("wait"): {"wait": self.dice.choice(times)}}

    def human(self) -> Task:
        name = self.name("human")
        arguments: dict[str, Any] = {
            "title": name,
            "candidates": {"roles": ["clerk"]},
            "outcomes": ["approved", "rejected"],
        }
        chance = self.dice.random()
        if chance < 0.25:  # some have two who must agree
            arguments["approvals"] = 2
        elif chance < 0.45:  # some are escalated in time
            arguments |= {
                "dueIn": {"hours": 5},
                "escalate": [{"after": {"seconds": 6}, "to": "boss"}],
            }
        elif chance < 0.75:  # some are for whoever has answered no other
            arguments["exclude"] = ["approvers"]
        return {
            name: {
                "call": "humanTask:1@default",
                "with": arguments,
                "output": {"as": "${ .answer }"},
            }
        }

    def listen(self) -> Task:
        kind = self.dice.choice(["one", "all", "any"])
        event = [{"with": {"type": each}} for each in self.dice.sample(EVENTS, 2)]
        to = {"one": {"one": event[0]}, "all": {"all": event}, "any": {"any": event}}[kind]
        return {self.name("listen"): {"listen": {"to": to}, "output": {"as": "${ length }"}}}

    def emit(self) -> Task:
        event = {"with": {"source": "https://sales.example.com", "type": "com.example.made"}}
        return {self.name("emit"): {"emit": {"event": event}, "output": {"as": "${ .type }"}}}

    def local(self) -> Task:
        self.certain = self.certain and not self.caught  # it may fail, and be tried again
        arguments = {"ref": LOCAL, "input": {"order": "${ . }"}}
        return {self.name("local"): {"call": "localFlow:1@default", "with": arguments}}

    def child(self) -> Task:
        if not self.children:
            return self.leaf()
        self.certain = self.certain and not self.caught  # the same
        namespace, _, name = self.dice.choice(self.children).partition("/")
        workflow = {
            "namespace": namespace,
            "name": name,
            "version": "1.0.0",
            "input": {"was": "${ . }"},
        }
        wait = self.dice.random() < 0.8  # mostly
        return {self.name("child"): {"run": {"workflow": workflow, "await": wait}}}

    # ------------------------------------------------------------------ nested

    def fork(self, depth: int) -> Task:
        name = self.name("fork")
        branches = [
            {self.name("branch"): {"do": self.block(depth - 1, 2)}}
            for _ in range(self.dice.randint(2, 3))
        ]
        return {name: {"fork": {"branches": branches}}}

    def race(self, depth: int) -> Task:
        self.certain = False
        name = self.name("race")
        branches = [{self.name("branch"): {"do": self.block(depth - 1, 2)}} for _ in range(2)]
        return {name: {"fork": {"compete": True, "branches": branches}}}

    def loop(self, depth: int) -> Task:
        name = self.name("loop")
        loop = {"each": "item", "in": "${ $workflow.input.items }"}
        return {name: {"for": loop, "do": self.block(depth - 1, 2)}}

    def map(self, depth: int) -> Task:
        name = self.name("map")
        arguments = {
            "in": "${ $workflow.input.items }",
            "each": "one",
            "maxConcurrency": 2,
            "do": self.block(depth - 1, 2),
        }
        return {name: {"call": "parallelMap:1@default", "with": arguments}}

    def attempt(self, depth: int) -> Task:
        if self.caught:
            return self.leaf()  # one try in another takes its time
        name = self.name("try")
        self.caught += 1
        tasks = self.block(depth - 1, 2)
        tasks.append(self.leaf(self.dice.choice(["shaky_a", "shaky_b", "broken"])))
        self.caught -= 1
        delay: Any = self.dice.choice(
            [{"milliseconds": 300}, {"seconds": 5}, {"seconds": 1}],
        )
        retry: dict[str, Any] = {"delay": delay, "limit": {"attempt": {"count": 2}}}
        if self.dice.random() < 0.5:  # half of them
            retry["jitter"] = {"from": {"milliseconds": 100}, "to": {"milliseconds": 900}}
        return {name: {"try": tasks, "catch": {"retry": retry, "do": [self.leaf()]}}}

    def choice(self, depth: int) -> Task:
        name = self.name("do")
        then = self.block(depth - 1, 1)
        other = self.block(depth - 1, 1)
        [first], [second] = then[0].keys(), other[0].keys()
        cases = [
            {"yes": {"when": "${ $workflow.input.big }", "then": first}},
            {"no": {"then": second}},
        ]
        then[0][first]["then"] = "exit"
        return {name: {"do": [{self.name("switch"): {"switch": cases}}, *then, *other]}}

    def bounded(self, depth: int) -> Task:
        """A timeout over something that may take longer, with a fault that is caught."""
        self.certain = False
        name = self.name("try")
        inner = {
            self.name("bounded"): {
                "do": self.block(depth - 1, 2),
                "timeout": {"after": {"seconds": 4}},
            }
        }
        return {name: {"try": [inner], "catch": {"do": [self.leaf()]}}}

    def do(self, depth: int) -> Task:
        return {self.name("do"): {"do": self.block(depth - 1, 3)}}


def write(dice: random.Random, name: str, children: tuple[str, ...], *, depth: int) -> Written:
    """A random definition that may call these others."""
    writer = _Writer(dice, children)
    small = dice.random() < 0.7  # many small ones, and some that have it all
    tasks = writer.block(min(depth, 1) if small else depth, 2 if small else 4)
    if dice.random() < 0.06:  # a few fault for good
        error = {"type": RAISED, "status": 400, "title": "No."}
        tasks.append({writer.name("raise"): {"raise": {"error": error}}})
        writer.features.add("raise")
    namespace, _, simple = name.partition("/")
    document = {
        "document": {"dsl": "1.0.3", "namespace": namespace, "name": simple, "version": "1.0.0"},
        "do": tasks,
    }
    return Written(json.dumps(document), writer.certain, frozenset(writer.features))
