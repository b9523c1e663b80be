"""Describe in words how a step has changed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

_LISTS: Final = {"outcomes": "outcome", "candidates": "role"}


def changed_keys(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """The keys in which a step differs; changes of a human task in words."""
    for key in dict.fromkeys((*old, *new)):
        before, after = old.get(key), new.get(key)
        if before == after:
            continue
        if key == "with" and isinstance(before, dict) and isinstance(after, dict):
            yield from _arguments(before, after)
        elif key in ("timeout", "then", "wait", "if"):
            yield f"`{key}` {_as_text(before)} is now {_as_text(after)}"
        else:
            yield f"`{key}`"


def _arguments(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for key in dict.fromkeys((*old, *new)):
        before, after = old.get(key), new.get(key)
        if before == after:
            continue
        if key == "candidates" and isinstance(before, dict) and isinstance(after, dict):
            before, after = before.get("roles"), after.get("roles")
        if key in _LISTS and isinstance(before, list) and isinstance(after, list):
            noun = _LISTS[key]
            yield from (f"the {noun} `{each}` is new" for each in after if each not in before)
            yield from (f"the {noun} `{each}` is gone" for each in before if each not in after)
            if sorted(map(str, before)) == sorted(map(str, after)):
                yield f"the {noun}s come in another order"
        elif key in ("dueIn", "approvals", "ref", "timeout"):
            yield f"`with.{key}` {_as_text(before)} is now {_as_text(after)}"
        else:
            yield f"`with.{key}`"


def _as_text(value: Any) -> str:
    return "none" if value is None else value if isinstance(value, str) else json.dumps(value)
