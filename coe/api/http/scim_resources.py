"""The resources of SCIM as this server has them, and how rows become them and back."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Annotated, Any, Final
from uuid import UUID

from pydantic import Field, field_validator
from scim2_models import (
    URN,
    AnyExtension,
    AuthenticationScheme,
    Bulk,
    CaseExact,
    ChangePassword,
    ComplexAttribute,
    Context,
    ETag,
    Extension,
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
from coe.json_types import JSON
from coe.language.canonical import canonical

PATH: Final = "/scim/v2"
MAX_RESULTS: Final = 200


def _truth(value: object) -> object:
    """A boolean, also as the text true or false, in whatever case, as Entra ID sends it.

    No other text and no number is one: `no` is a mistake of the sender, and suspends nobody.
    """
    if isinstance(value, str) and value.lower() in {"true", "false"}:
        return value.lower() == "true"
    if value is None or isinstance(value, bool):
        return value
    raise ValueError("it is true or false")


class Name(ComplexAttribute):
    """The parts of a person's name."""

    formatted: str | None = None
    """The whole name; without a displayName it is the one for people here."""

    family_name: str | None = None
    """The family name."""

    given_name: str | None = None
    """The given name."""

    middle_name: str | None = None
    """Further names between them."""

    honorific_prefix: str | None = None
    """What stands before the name."""

    honorific_suffix: str | None = None
    """What stands after it."""


class Email(ComplexAttribute):
    """An e-mail address."""

    value: str | None = None
    """The address."""

    type: str | None = None
    """What it is for, such as work."""

    primary: bool | None = None
    """Whether it is the one to use."""

    _primary_is_a_truth = field_validator("primary", mode="before")(_truth)


class EnterpriseUser(Extension):
    """A person in an organization."""

    __schema__ = URN("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User")

    employee_number: str | None = None
    """The number of the person there."""

    cost_center: str | None = None
    """The cost center."""

    organization: str | None = None
    """The organization."""

    division: str | None = None
    """The division."""

    department: str | None = None
    """The department."""


class User(Resource[AnyExtension]):
    """A person's account, with what this server keeps of it; other attributes are ignored."""

    __schema__ = URN("urn:ietf:params:scim:schemas:core:2.0:User")

    user_name: Annotated[str | None, Uniqueness.server, Required.true] = None
    """The name by which the person is known here; the first one is the subject for good."""

    name: Name | None = None
    """The parts of the person's name."""

    display_name: str | None = None
    """The name for people."""

    nick_name: str | None = None
    """How the person is called."""

    title: str | None = None
    """The title, such as Vice President."""

    user_type: str | None = None
    """What the person is to the organization, such as Contractor."""

    preferred_language: str | None = None
    """The language, as in Accept-Language."""

    locale: str | None = None
    """Where the person is, for currencies and dates."""

    timezone: str | None = None
    """The time zone, such as Europe/Berlin."""

    active: Annotated[bool | None, Required.true] = None
    """False suspends the person. It cannot be removed; who leaves it out says true."""

    emails: list[Email] | None = None
    """The e-mail addresses."""

    _active_is_a_truth = field_validator("active", mode="before")(_truth)


Account = User[EnterpriseUser]
"""A person's account with its extension."""


class GivenUser(Account):
    """A person's account as a directory may send it whole: `active` may be left out."""

    active: bool | None = None
    """False suspends the person."""


class GroupMember(ComplexAttribute):
    """An account in a group."""

    value: Annotated[str | None, Mutability.immutable, CaseExact.true, Required.true] = None
    """The id of the account."""

    ref: Annotated[Reference[User] | None, Mutability.immutable] = Field(  # type: ignore[type-arg]  # with whatever extension
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


def thin_user_of(person: Person, base: str) -> User[EnterpriseUser]:
    """The resource of an account without what is sealed, and without its version."""
    key = str(person.id)
    return Account(
        id=key,
        external_id=person.provisioned_id,
        user_name=person.user_name or person.subject,
        active=person.state == PersonState.ACTIVE,
        meta=_meta_of(person, base),
    )


def user_of(person: Person, attributes: Mapping[str, JSON] | None, base: str) -> Any:
    """The resource of an account.

    Args:
        person: The account.
        attributes: What the directory says of the person beside that; None if it was never kept.
        base: The address of this server.
    """
    thin = thin_user_of(person, base)
    if attributes is None:
        named = person.display_name != person.subject
        attributes = {"displayName": person.display_name} if named else {}
    user = Account.model_validate({**attributes, "userName": thin.user_name})
    user.id, user.external_id, user.active = thin.id, thin.external_id, thin.active
    user.meta = _meta_of(person, base)
    user.meta.version = _version([user.user_name, user.external_id, user.active, {**attributes}])
    return user


def _meta_of(person: Person, base: str) -> Meta:
    return Meta(
        resource_type="User",
        created=person.created_at,
        last_modified=max(person.changed_at, person.state_changed_at or person.changed_at),
        location=f"{base}/Users/{person.id}",
    )


def _version(content: JSON) -> str:
    """The version of a resource: it is another one whenever the content is another one."""
    return f'W/"{hashlib.sha256(canonical(content)).hexdigest()[:32]}"'


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
            version=_version(
                [row.display_name, row.external_id, [str(each) for each in record.members]]
            ),
            resource_type="Group",
            created=row.created_at,
            last_modified=row.changed_at,
            location=f"{base}/Groups/{key}",
        ),
    )


def user_values(user: User[EnterpriseUser]) -> UserValues:
    """What a resource says of a person; without `active` the person is active."""
    dumped = user.model_dump(scim_ctx=Context.RESOURCE_QUERY_RESPONSE)
    return UserValues(
        user_name=user.user_name or "",
        name=user.display_name or _whole_name(user.name),
        external_id=user.external_id,
        active=user.active is not False,
        attributes={name: value for name, value in dumped.items() if name not in _ELSEWHERE},
    )


_ELSEWHERE: Final = frozenset({"schemas", "id", "externalId", "userName", "active", "meta"})
"""What has a column of its own, or is no content."""


def _whole_name(name: Name | None) -> str | None:
    if name is None:
        return None
    parts = (name.given_name, name.middle_name, name.family_name)
    return name.formatted or " ".join(part for part in parts if part) or None


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
        sort=Sort(supported=True),
        etag=ETag(supported=True),
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
    found = [each.to_schema() for each in (User, EnterpriseUser, Group)]
    for schema in found:
        schema.meta = Meta(resource_type="Schema", location=f"{base}/Schemas/{schema.id}")
    return found


def resource_types(base: str) -> list[ResourceType]:
    """The types of resources."""
    found = [ResourceType.from_resource(each) for each in (Account, Group)]
    for each in found:
        each.meta = Meta(resource_type="ResourceType", location=f"{base}/ResourceTypes/{each.id}")
    return found
