"""The resources of SCIM as this server has them, and how rows become them and back."""

from __future__ import annotations

from typing import Annotated, Any, Final
from uuid import UUID

from pydantic import Field
from scim2_models import (
    URN,
    AuthenticationScheme,
    Bulk,
    CaseExact,
    ChangePassword,
    ComplexAttribute,
    ETag,
    Filter,
    Meta,
    Mutability,
    Patch,
    Reference,
    Required,
    Resource,
    ResourceType,
    ServiceProviderConfig,
    Sort,
    Uniqueness,
)

from coe.access.models import Person, PersonState
from coe.errors import Invalid, Problem
from coe.formats import uuids
from coe.identity.scim.groups import GroupRecord, GroupValues
from coe.identity.scim.users import UserValues

PATH: Final = "/scim/v2"
MAX_RESULTS: Final = 200


class User(Resource[Any]):
    """A person's account, with what this server keeps of it; other attributes are ignored."""

    __schema__ = URN("urn:ietf:params:scim:schemas:core:2.0:User")

    user_name: Annotated[str | None, Uniqueness.server, Required.true] = None
    """The name by which the person is known here; the first one is the subject for good."""

    display_name: str | None = None
    """The name for people."""

    active: Annotated[bool | None, Required.true] = None
    """False suspends the person. It cannot be removed; who leaves it out says true."""


class GivenUser(User):
    """A person's account as a directory may send it whole: `active` may be left out."""

    active: bool | None = None
    """False suspends the person."""


class GroupMember(ComplexAttribute):
    """An account in a group."""

    value: Annotated[str | None, Mutability.immutable, CaseExact.true, Required.true] = None
    """The id of the account."""

    ref: Annotated[Reference[User] | None, Mutability.immutable] = Field(
        None, serialization_alias="$ref", validation_alias="$ref"
    )
    """The account's location."""


class Group(Resource[Any]):
    """A group; the name `team/role` gives its members this role in the team."""

    __schema__ = URN("urn:ietf:params:scim:schemas:core:2.0:Group")

    display_name: Annotated[str | None, Required.true, Uniqueness.server] = None
    """The name: `team/role`, `team`, or any other, which gives nothing."""

    members: list[GroupMember] | None = None
    """The accounts in the group."""


def user_of(person: Person, base: str) -> User:
    """The resource of an account."""
    key = str(person.id)
    return User(
        id=key,
        external_id=person.provisioned_id,
        user_name=person.user_name or person.subject,
        display_name=None if person.display_name == person.subject else person.display_name,
        active=person.state == PersonState.ACTIVE,
        meta=Meta(
            resource_type="User",
            created=person.created_at,
            last_modified=max(person.changed_at, person.state_changed_at or person.changed_at),
            location=f"{base}/Users/{key}",
        ),
    )


def group_of(record: GroupRecord, base: str) -> Group:
    """The resource of a group."""
    row = record.row
    key = str(row.id)
    members = [GroupMember(value=str(each), ref=f"{base}/Users/{each}") for each in record.members]
    return Group(
        id=key,
        external_id=row.external_id,
        display_name=row.display_name,
        members=members or None,
        meta=Meta(
            resource_type="Group",
            created=row.created_at,
            last_modified=row.changed_at,
            location=f"{base}/Groups/{key}",
        ),
    )


def user_values(user: User) -> UserValues:
    """What a resource says of a person; without `active` the person is active."""
    return UserValues(
        user_name=user.user_name or "",
        display_name=user.display_name,
        external_id=user.external_id,
        active=user.active is not False,
    )


def group_values(group: Group) -> GroupValues:
    """What a resource says of a group.

    Raises:
        Invalid: A member is no id.
    """
    return GroupValues(
        display_name=group.display_name or "",
        external_id=group.external_id,
        members=tuple(
            sorted({_member(index, each) for index, each in enumerate(group.members or ())})
        ),
    )


def _member(index: int, member: GroupMember) -> UUID:
    try:
        return uuids.read(member.value or "")
    except ValueError:
        path = f"/members/{index}/value"
        raise Invalid([Problem("INPUT_MEMBERS", "it is no id of an account", path=path)]) from None


def config(base: str) -> ServiceProviderConfig:
    """What this server can do."""
    return ServiceProviderConfig(
        documentation_uri=None,
        patch=Patch(supported=True),
        bulk=Bulk(supported=False, max_operations=0, max_payload_size=0),
        filter=Filter(supported=True, max_results=MAX_RESULTS),
        change_password=ChangePassword(supported=False),
        sort=Sort(supported=False),
        etag=ETag(supported=False),
        authentication_schemes=[
            AuthenticationScheme(
                type=AuthenticationScheme.Type.oauthbearertoken,
                name="Bearer token",
                description="A token of a service that may provision, with the scope scim:*",
            )
        ],
        meta=Meta(resource_type="ServiceProviderConfig", location=f"{base}/ServiceProviderConfig"),
    )


def schemas(base: str) -> list[Any]:
    """The schemas of the resources."""
    found = [each.to_schema() for each in (User, Group)]
    for schema in found:
        schema.meta = Meta(resource_type="Schema", location=f"{base}/Schemas/{schema.id}")
    return found


def resource_types(base: str) -> list[ResourceType]:
    """The types of resources."""
    found = [ResourceType.from_resource(each) for each in (User, Group)]
    for each in found:
        each.meta = Meta(resource_type="ResourceType", location=f"{base}/ResourceTypes/{each.id}")
    return found
