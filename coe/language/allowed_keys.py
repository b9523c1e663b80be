"""The keys that are allowed at a location of a validation error, found from the models."""

from __future__ import annotations

import types
from collections.abc import Iterator, Sequence
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, Tag

from coe.language.fields import TAG
from coe.language.model.named_list import NamedList


def keys_at(model: type[BaseModel], location: Sequence[str | int]) -> tuple[str, ...]:
    """The keys that an object may have at a location; empty where any key is allowed."""
    shapes: list[Any] = [model]
    for part in location:
        shapes = [inner for shape in shapes for inner in _step(shape, part)]
    found = [key for shape in shapes for key in _keys(shape)]
    return tuple(dict.fromkeys(found))


def _keys(shape: Any) -> Iterator[str]:
    for part in _parts(shape):
        if isinstance(part, type) and issubclass(part, BaseModel):
            for name, field in part.model_fields.items():
                yield field.alias or name


def _step(shape: Any, part: str | int) -> Iterator[Any]:
    """The types one step further along the location."""
    if isinstance(part, str) and part.startswith(TAG):
        yield from _tagged(shape, part)
        return
    for inner in _parts(shape):
        if isinstance(inner, type) and issubclass(inner, NamedList):
            yield inner.entry_type() if isinstance(part, int) else inner
        elif isinstance(inner, type) and issubclass(inner, BaseModel):
            for name, field in inner.model_fields.items():
                if part == (field.alias or name):
                    yield field.annotation
        elif get_origin(inner) is dict:
            yield get_args(inner)[1]
        elif get_origin(inner) is tuple:
            yield get_args(inner)[0]


def _tagged(shape: Any, tag: str) -> Iterator[Any]:
    """The member of a union that has a tag."""
    for member in _members(shape):
        if any(isinstance(mark, Tag) and mark.tag == tag for mark in _metadata(member)):
            yield get_args(member)[0]


def _parts(shape: Any) -> Iterator[Any]:
    """The types of a union, without their annotations."""
    for member in _members(shape):
        yield get_args(member)[0] if _metadata(member) else member


def _members(shape: Any) -> Iterator[Any]:
    """The members of nested unions; those with a tag keep their annotation."""
    metadata = _metadata(shape)
    if metadata and not any(isinstance(mark, Tag) for mark in metadata):
        yield from _members(get_args(shape)[0])
    elif get_origin(shape) in (Union, types.UnionType):
        for member in get_args(shape):
            yield from _members(member)
    elif shape is not type(None):
        yield shape


def _metadata(shape: Any) -> tuple[Any, ...]:
    return getattr(shape, "__metadata__", ())
