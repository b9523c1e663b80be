"""The configuration of the schema: its scalars, and names in camel case."""

from __future__ import annotations

from typing import Final

from strawberry.schema.config import StrawberryConfig
from strawberry.schema.name_converter import NameConverter
from strawberry.types.base import StrawberryObjectDefinition, StrawberryType

from coe.api.graphql.scalars import SCALARS

_PROMISED: Final = {
    "AuditEventConnection": "AuditConnection",
    "AuditEventEdge": "AuditEdge",
}
"""Names of connections that the contract promises, by the names that Strawberry gives them."""


class ContractNames(NameConverter):
    """Strawberry's names, except where the contract promises another."""

    def from_generic(
        self,
        generic_type: StrawberryObjectDefinition,
        types: list[StrawberryType | type],
    ) -> str:
        """The name of a generic type for its parameters, such as RunConnection."""
        name = super().from_generic(generic_type, types)
        return _PROMISED.get(name, name)


def schema_config() -> StrawberryConfig:
    """The configuration of the schema."""
    return StrawberryConfig(scalar_map=SCALARS, name_converter=ContractNames())
