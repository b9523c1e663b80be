"""What `coe flow try` prints for people: the steps, with their data if it is wanted."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

_MAX_LENGTH: Final = 2000
"""Characters of a value; JSON output has all of it."""


def trial_lines(trace: Mapping[str, Any], *, data: bool) -> Iterator[str]:
    """One line a step; with `data` also when it started, what went in and what came out."""
    context: object = None
    for step in trace["steps"]:
        line = f"{step['state']:<10} {step['kind']:<10} {step['name']}"
        if not data:
            yield line
            continue
        yield f"{step['startedAt']}  {line}{_number(step)}"
        yield f"    input    {_value(step['input'])}"
        if step["state"] == "COMPLETED":
            yield f"    output   {_value(step['output'])}"
        if step["context"] != context:
            context = step["context"]
            yield f"    context  {_value(context)}"
        if step["error"] is not None:
            yield f"    error    {_value(step['error'])}"
        if step["endedAt"] not in {None, step["startedAt"]}:
            yield f"    until    {step['endedAt']}"
    result = trace["output"] if trace["error"] is None else trace["error"]
    if trace["state"] == "WAITING":  # it has neither
        yield "WAITING"
    else:
        yield f"{trace['state']}: {json.dumps(result, ensure_ascii=False)}"


def missing_lines(missing: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What the run waits for, and the stubs to copy, by the section in which they go."""
    for each in missing:
        yield f"{each['step']} {each['what']}: nothing answers it, so the run waits"
    sections = dict.fromkeys(str(each["section"]) for each in missing)
    if sections:
        yield "To answer, put into a file for --stub:"
    for section in sections:
        yield f"{section}:"
        lines = (each["stub"] for each in missing if each["section"] == section)
        yield from (f"  {line}" for line in dict.fromkeys(lines))
    hosts = dict.fromkeys(each["host"] for each in missing if each["host"])
    for host in hosts:
        yield f"or send what goes to {host} elsewhere with --resolve {host}=URL"
    if hosts:
        yield "or make every call that has no stub with --live"


def _number(step: Mapping[str, Any]) -> str:
    parts = [f"try {step['attempt']}"] if step["attempt"] > 1 else []
    parts += [f"iteration {step['iteration']}"] if step["iteration"] is not None else []
    return f" ({', '.join(parts)})" if parts else ""


def _value(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _MAX_LENGTH else text[: _MAX_LENGTH - 1] + "…"
