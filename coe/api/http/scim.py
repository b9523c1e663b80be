"""The endpoints of SCIM: discovery, users and groups, with filters, pages and PATCH.

Each request is one transaction of the verbs in `coe.identity.scim`, as the service whose token was
sent (scope `scim:*`). A refusal is an `Error` of RFC 7644, section 3.12.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from uuid import UUID

import orjson
from fastapi import APIRouter, Request, Response
from pydantic import ValidationError
from scim2_models import (
    Context,
    Error,
    InvalidFilterException,
    ListResponse,
    PatchOp,
    ResourceType,
    Schema,
    SCIMException,
    ScimPolicy,
    SearchRequest,
)

from coe.access.models import Person
from coe.access.people import attributes_of
from coe.api.http import scim_resources as resources
from coe.api.http.requests import (
    Entrance,
    check_nesting,
    read_body,
    request_info,
    response_headers,
)
from coe.api.http.scim_resources import MAX_RESULTS, PATH, Account, GivenUser, Group
from coe.db import is_unreachable, why_unusable
from coe.errors import CoeError, Invalid, NotFound, Unavailable
from coe.formats import uuids
from coe.identity.scim import groups, users
from coe.json_types import JSON, NotJson, read_json, refuse_repeated_keys
from coe.work import Platform, Work

MEDIA: Final = "application/scim+json"
_MAX_FILTER: Final = 500
_log = logging.getLogger(__name__)
Handler = Callable[[Work, Request, str], Awaitable[Response]]


def router(platform: Platform) -> APIRouter:
    """The routes below `/scim/v2`."""
    routes = APIRouter(prefix=PATH, include_in_schema=False)

    def add(method: str, path: str, handler: Handler) -> None:
        async def endpoint(request: Request) -> Response:
            return await _answer(platform, request, handler)

        routes.add_api_route(path, endpoint, methods=[method])

    for path, handler in _DISCOVERY.items():
        add("GET", path, handler)
    for method, path, handler in _RESOURCES:
        add(method, path, handler)
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        add(method, "/{rest:path}", _nothing)
    return routes


_TOLERANT: Final = ScimPolicy(
    unknown=ScimPolicy.Unknown.ignore,
    remove_value_as_filter=ScimPolicy.RemoveValue.apply,
    unmatched_path_filter=ScimPolicy.UnmatchedPathFilter.create,
)
"""Attributes that are not kept here are ignored, and PATCH is read as Entra ID sends it."""
_WITH_BODY: Final = frozenset({"PATCH", "POST", "PUT"})


async def _answer(platform: Platform, request: Request, handler: Handler) -> Response:
    about = request_info(request)
    entrance = Entrance(platform, request, about)
    try:
        await entrance.actor()  # whoever may not enter sends no body
        if request.method in _WITH_BODY:  # before the transaction: a client may be slow
            request.state.body = await read_body(request)
        async with platform.work(await entrance.actor(), about) as work:
            base = str(request.base_url).rstrip("/") + PATH
            with _TOLERANT:
                return await handler(work, request, base)
    except Exception as error:  # noqa: BLE001  # the edge: it is masked, and logged
        found = _error_of(error)
        headers = response_headers(about, error)
        return _response(found.model_dump(), int(found.status or 500), headers=headers)


def _error_of(error: Exception) -> Error:
    match error:
        case SCIMException():
            return error.to_error()
        case ValidationError():
            found = Error.from_validation_errors(error)[0]
            if error.errors()[0]["type"] == "model_type":
                place = ".".join(map(str, error.errors()[0]["loc"]))
                found.detail = f"Input should be an object: {place}"
            return found
        case Invalid():
            text = "; ".join(f"{each.path}: {each.message}" for each in error.problems)
            return Error(status=400, scim_type="invalidValue", detail=text or error.message)
        case CoeError():
            kind = "uniqueness" if error.code == "CONFLICT" else None
            return Error(status=error.status, scim_type=kind, detail=error.message)
        case NotJson():
            return Error(status=400, scim_type="invalidSyntax", detail=str(error))
    _log.exception("a request of SCIM failed", exc_info=error)
    gone, detail = is_unreachable(error), "Something failed on our side; try again."
    return Error(
        status=Unavailable.status if gone else 500,
        detail=why_unusable(error) if gone else detail,
    )


def _response(body: Any, status: int = 200, *, headers: dict[str, str] | None = None) -> Response:
    content = b"" if body is None else orjson.dumps(body)
    return Response(content, status_code=status, media_type=MEDIA, headers=headers)


def _body(request: Request) -> JSON:
    """The body, whose bytes came before the transaction began."""
    value = read_json(request.state.body)
    check_nesting(value)
    refuse_repeated_keys(request.state.body.decode())
    if not isinstance(value, dict):
        raise NotJson("The body is not a JSON object")
    return value


def _key(request: Request) -> UUID:
    try:
        return uuids.read(request.path_params["id"])
    except ValueError:
        raise NotFound from None


async def _nothing(work: Work, request: Request, base: str) -> Response:
    users.require(work)
    del base
    place = "/" + request.path_params["rest"].partition("/")[0]
    if request.method != "GET" and place in _DISCOVERY:
        detail = "Only GET is possible here."
        return _response(Error(status=405, detail=detail).model_dump(), 405)
    raise NotFound


async def _config(work: Work, request: Request, base: str) -> Response:
    users.require(work)
    del request
    return _response(resources.config(base).model_dump(scim_ctx=Context.RESOURCE_QUERY_RESPONSE))


def _listing(found: Callable[[str], Sequence[Any]], kind: type[Any]) -> tuple[Handler, Handler]:
    async def all_(work: Work, request: Request, base: str) -> Response:
        users.require(work)
        if "filter" in request.query_params:
            return _response(Error(status=403, detail="No filter here.").model_dump(), 403)
        items = list(found(base))
        page = ListResponse[kind](  # type: ignore[valid-type]  # a parameter at run time
            total_results=len(items), items_per_page=len(items), start_index=1, resources=items
        )
        return _response(page.model_dump(scim_ctx=Context.RESOURCE_QUERY_RESPONSE))

    async def one(work: Work, request: Request, base: str) -> Response:
        users.require(work)
        for item in found(base):
            if item.id == request.path_params["id"]:
                return _response(item.model_dump(scim_ctx=Context.RESOURCE_QUERY_RESPONSE))
        raise NotFound

    return all_, one


_all_schemas, _one_schema = _listing(resources.schemas, Schema)
_all_types, _one_type = _listing(resources.resource_types, ResourceType)
_DISCOVERY: Final[dict[str, Handler]] = {
    "/ServiceProviderConfig": _config,
    "/Schemas": _all_schemas,
    "/Schemas/{id}": _one_schema,
    "/ResourceTypes": _all_types,
    "/ResourceTypes/{id}": _one_type,
}


async def _wanted(request: Request, model: type[Any]) -> Any:
    """The parameters of a list: those of the query, or for `.search` those of the body."""
    if request.method == "GET":
        return _search(dict(request.query_params), model)
    return _search(_body(request), model)


def _search(given: JSON, model: type[Any]) -> Any:
    """The parameters of a list or of one resource.

    Raises:
        ValidationError: A parameter is not valid.
        InvalidFilterException: The filter is too long.
    """
    if isinstance(given, dict) and len(str(given.get("filter", ""))) > _MAX_FILTER:
        raise InvalidFilterException(detail=f"a filter has at most {_MAX_FILTER} characters")
    return SearchRequest[model].model_validate(  # type: ignore[valid-type]  # the same
        given, scim_ctx=Context.SEARCH_REQUEST
    )


def _shown(
    resource: Any, request: Request, model: type[Any], context: Context, status: int = 200
) -> Response:
    wanted = _search(dict(request.query_params), model)
    headers = {"ETag": resource.meta.version}
    if status == HTTPStatus.CREATED:
        headers["Location"] = resource.meta.location
    body = resource.model_dump(scim_ctx=context, response_parameters=wanted)
    return _response(body, status, headers=headers)


class Stale(SCIMException):
    """A change was meant for another version of the resource."""

    status = 412
    _default_detail = "The resource has changed since: read it again"


def _check_version(request: Request, resource: Any) -> None:
    """Refuse a change of another version than the one that it is meant for.

    Raises:
        Stale: The resource is another one meanwhile.
    """
    wanted = request.headers.getlist("if-match")
    if wanted and not _names(wanted, resource.meta.version):
        raise Stale


def _names(headers: Sequence[str], version: str) -> bool:
    """Whether one of the entity tags is that of this version; they are compared as weak ones."""
    tags = [tag.strip() for header in headers for tag in header.split(",")]
    return "*" in tags or any(tag.removeprefix("W/") == version.removeprefix("W/") for tag in tags)


def _part(items: list[Any], wanted: Any) -> tuple[int, list[Any]]:
    """How many resources fit, and those of the page, in order."""
    if wanted.filter is not None:
        items = [each for each in items if wanted.filter.match(each)]
    items = wanted.sort(items)
    start = max(wanted.start_index or 1, 1)
    count = MAX_RESULTS if wanted.count is None else min(max(wanted.count, 0), MAX_RESULTS)
    return len(items), items[start - 1 : start - 1 + count]


def _page(total: int, part: list[Any], wanted: Any, model: type[Any]) -> Response:
    page = ListResponse[model](  # type: ignore[valid-type]  # the same
        total_results=total,
        items_per_page=len(part),
        start_index=max(wanted.start_index or 1, 1),
        resources=part or None,
    )
    return _response(
        page.model_dump(scim_ctx=Context.RESOURCE_QUERY_RESPONSE, response_parameters=wanted)
    )


_OPEN: Final = frozenset({"active", "externalid", "id", "username"})
"""The attributes of a person that are not sealed, in small letters."""
_WORDS: Final = frozenset(
    {"and", "co", "eq", "ew", "false", "ge", "gt", "le", "lt", "ne", "not", "null", "or", "pr"}
    | {"sw", "true"}
)


def _asks_for_sealed(wanted: Any) -> bool:
    """Whether a filter or an order needs what is sealed; directories mostly ask for a userName."""
    text = re.sub(r'"(?:[^"\\]|\\.)*"', "", f"{wanted.filter or ''} {wanted.sort_by or ''}")
    words = {word.lower() for word in re.findall(r"[A-Za-z$][\w.:$-]*", text)}
    return not words <= _OPEN | _WORDS


async def _user(work: Work, person: Person, base: str) -> Any:
    return resources.user_of(person, await attributes_of(work.keyring, person), base)


async def _group(work: Work, record: groups.GroupRecord, base: str) -> Any:
    del work
    return resources.group_of(record, base)


@dataclass(frozen=True, slots=True)
class _Noun:
    """A kind of resource: how it is shown and read, and the verbs behind its doors."""

    path: str
    model: type[Any]
    given: type[Any]
    shown: Callable[[Work, Any, str], Awaitable[Any]]
    """The whole resource of a row."""
    thin: Callable[[Any, str], Any]
    """What of the resource is not sealed."""
    values: Callable[[Any], Any]
    all: Callable[[Work], Awaitable[Sequence[Any]]]
    find: Callable[..., Awaitable[Any]]
    create: Callable[[Work, Any], Awaitable[Any]]
    change: Callable[[Work, UUID, Any], Awaitable[Any]]
    delete: Callable[[Work, UUID], Awaitable[None]]


_NOUNS: Final = (
    _Noun(
        "/Users",
        Account,
        GivenUser,
        _user,
        resources.thin_user_of,
        resources.user_values,
        users.users,
        users.find_user,
        users.create_user,
        users.change_user,
        users.delete_user,
    ),
    _Noun(
        "/Groups",
        Group,
        Group,
        _group,
        resources.group_of,
        resources.group_values,
        groups.groups,
        groups.find_group,
        groups.create_group,
        groups.change_group,
        groups.delete_group,
    ),
)


async def _before(noun: _Noun, work: Work, request: Request, base: str) -> Any:
    """The resource that a request changes, locked, of the version that it means."""
    row = await noun.find(work, _key(request), lock=True)
    resource = await noun.shown(work, row, base)
    _check_version(request, resource)
    return resource


async def _changed(
    noun: _Noun, work: Work, request: Request, base: str, *, to: Any, context: Context
) -> Response:
    row = await noun.change(work, _key(request), noun.values(to))
    return _shown(await noun.shown(work, row, base), request, noun.model, context)


def _doors(noun: _Noun) -> Iterator[tuple[str, str, Handler]]:
    """The routes of a kind of resource."""

    async def all_(work: Work, request: Request, base: str) -> Response:
        wanted, rows = await _wanted(request, noun.model), await noun.all(work)
        if _asks_for_sealed(wanted):
            total, part = _part([await noun.shown(work, row, base) for row in rows], wanted)
        else:
            thin = {(found := noun.thin(row, base)).id: (found, row) for row in rows}
            total, some = _part([found for found, _ in thin.values()], wanted)
            part = [await noun.shown(work, thin[each.id][1], base) for each in some]
        return _page(total, part, wanted, noun.model)

    async def create(work: Work, request: Request, base: str) -> Response:
        given = noun.given.model_validate(
            _body(request), scim_ctx=Context.RESOURCE_CREATION_REQUEST
        )
        made = await noun.shown(work, await noun.create(work, noun.values(given)), base)
        return _shown(made, request, noun.model, Context.RESOURCE_CREATION_RESPONSE, 201)

    async def read(work: Work, request: Request, base: str) -> Response:
        found = await noun.shown(work, await noun.find(work, _key(request)), base)
        if _names(request.headers.getlist("if-none-match"), found.meta.version):
            return Response(status_code=304, headers={"ETag": found.meta.version})
        return _shown(found, request, noun.model, Context.RESOURCE_QUERY_RESPONSE)

    async def replace(work: Work, request: Request, base: str) -> Response:
        resource = await _before(noun, work, request, base)
        given = noun.given.model_validate(
            _body(request), scim_ctx=Context.RESOURCE_REPLACEMENT_REQUEST
        )
        given.replace(resource)
        return await _changed(
            noun, work, request, base, to=given, context=Context.RESOURCE_REPLACEMENT_RESPONSE
        )

    async def patch(work: Work, request: Request, base: str) -> Response:
        resource = await _before(noun, work, request, base)
        operations = PatchOp[noun.model].model_validate(  # type: ignore[name-defined]  # the same
            _body(request), scim_ctx=Context.RESOURCE_PATCH_REQUEST
        )
        operations.patch(resource)
        return await _changed(
            noun, work, request, base, to=resource, context=Context.RESOURCE_PATCH_RESPONSE
        )

    async def delete(work: Work, request: Request, base: str) -> Response:
        await _before(noun, work, request, base)
        await noun.delete(work, _key(request))
        return Response(status_code=204)

    one = f"{noun.path}/{{id}}"
    yield "GET", noun.path, all_
    yield "POST", noun.path, create
    yield "POST", f"{noun.path}/.search", all_
    for method, handler in (("GET", read), ("PUT", replace), ("PATCH", patch), ("DELETE", delete)):
        yield method, one, handler


async def _search_all(work: Work, request: Request, base: str) -> Response:
    found = [await noun.shown(work, row, base) for noun in _NOUNS for row in await noun.all(work)]
    model: Any = Account | Group
    wanted = await _wanted(request, model)
    return _page(*_part(found, wanted), wanted, model)


_RESOURCES: Final[tuple[tuple[str, str, Handler], ...]] = (
    ("POST", "/.search", _search_all),
    *(door for noun in _NOUNS for door in _doors(noun)),
)
