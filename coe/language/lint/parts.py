"""Walk a definition part by part, with the JSON pointer of each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from coe.language.fields import Model, alias
from coe.language.model.named_list import NamedList
from coe.language.source import point


class Child(NamedTuple):
    """A value directly inside another: its relative pointer, its field if any, and the value."""

    pointer: str
    field: str
    value: Any


def children(value: Any) -> Iterator[Child]:
    """The direct children of a part of the model, as far as they are given, or of data."""
    if isinstance(value, Model):
        for field in type(value).model_fields:
            if field in value.model_fields_set:
                yield Child(point(alias(field)), field, getattr(value, field))
        value = value.model_extra
    if isinstance(value, NamedList):
        yield from (Child(point(i, item.name), "", item) for i, item in enumerate(value))
    elif isinstance(value, dict):
        yield from (Child(point(key), "", item) for key, item in value.items())
    elif isinstance(value, list | tuple):
        yield from (Child(point(i), "", item) for i, item in enumerate(value))


def models(value: Any, place: str = "") -> Iterator[tuple[str, Model]]:
    """Every part of the model inside a value with its pointer, outermost first."""
    if isinstance(value, Model):
        yield place, value
    for child in children(value):
        if isinstance(child.value, Model | tuple | dict):
            yield from models(child.value, place + child.pointer)
