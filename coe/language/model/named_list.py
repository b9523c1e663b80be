"""Lists of named items such as `- name: {…}`: the tasks of a scope, the cases of a switch."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from pydantic_core import PydanticCustomError, core_schema

from coe.language.fields import ItemPosition, Model

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler


class Named(Model):
    """An item of a named list, with its name and its place in the document."""

    # A slot, because it is read often and pydantic's private attributes are slow.
    __slots__ = ("_place",)
    _place: ItemPosition

    @property
    def name(self) -> str:
        """The item's key in its list."""
        return self._place.name

    @property
    def pointer(self) -> str:
        """The JSON pointer, such as /do/0/checkCredit: the specification's task reference."""
        return self._place.pointer

    @property
    def line(self) -> int | None:
        """The line of its name, from 1; None for a document that was not read from text."""
        return self._place.line

    @property
    def column(self) -> int | None:
        """The column of its name, from 1."""
        return self._place.column

    def put(self, place: ItemPosition) -> None:
        """Set the place; the loader calls this once, before the item is used."""
        object.__setattr__(self, "_place", place)

    def __getstate__(self) -> dict[Any, Any]:
        """The state of the model and the place, which pydantic does not know."""
        return {**super().__getstate__(), "_place": getattr(self, "_place", None)}

    def __setstate__(self, state: dict[Any, Any]) -> None:
        """Set the state and the place."""
        place = state.pop("_place")
        super().__setstate__(state)
        if place is not None:
            self.put(place)


NamedT = TypeVar("NamedT", bound=Named)


class NamedList(tuple[NamedT, ...]):  # noqa: SLOT001 - it caches the positions of names
    """An immutable list of named items, in the order of the document."""

    # The noun for an item in messages.
    NOUN: ClassVar[str] = "item"
    # The least number of items.
    MIN_LENGTH: ClassVar[int] = 0
    # The type of the items, for pydantic.
    ITEM_TYPE: ClassVar[Any]

    @classmethod
    def entry_type(cls) -> Any:
        """The type of an entry in the document: an object of one key."""
        return dict[str, cls.ITEM_TYPE]  # type: ignore[name-defined]

    def named(self, name: str) -> NamedT | None:
        """The first item of this name, or None."""
        position = self.position(name)
        return None if position is None else self[position]

    def position(self, name: str) -> int | None:
        """The index of the first item of this name, or None."""
        return self._positions.get(name)

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {item.name: index for index, item in reversed(list(enumerate(self)))}

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names in order."""
        return tuple(item.name for item in self)

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: object, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        """The schema of a list of objects of one key each."""
        entry = core_schema.dict_schema(
            core_schema.str_schema(min_length=1),
            handler.generate_schema(cls.ITEM_TYPE),
            min_length=1,
            max_length=1,
        )
        checked = core_schema.no_info_before_validator_function(cls._one_key, entry)
        listed = core_schema.list_schema(checked, min_length=cls.MIN_LENGTH or None)
        return core_schema.no_info_after_validator_function(cls._collect, listed)

    @classmethod
    def _one_key(cls, entry: object) -> object:
        if isinstance(entry, dict) and len(entry) != 1:
            kind = "one_name"
            keys = ", ".join(f"`{key}`" for key in list(entry)[:4]) or "none"
            context = {"noun": cls.NOUN, "keys": keys}
            raise PydanticCustomError(
                kind,
                "a {noun} is one name with its content indented below it, not the keys {keys}",
                context,
            )
        return entry

    @classmethod
    def _collect(cls, entries: list[dict[str, NamedT]]) -> Self:
        items = []
        for entry in entries:
            [(name, item)] = entry.items()
            item.put(ItemPosition(name))
            items.append(item)
        return cls(items)
