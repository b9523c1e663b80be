"""`POST /graphql`: one JSON object, answered as the GraphQL over HTTP specification requires."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, nullcontext
from typing import Any

import orjson
import strawberry
from fastapi import APIRouter, Request, Response
from graphql import GraphQLError, OperationDefinitionNode, OperationType, get_operation_ast

from coe.access.actor import Actor
from coe.api.graphql import limits
from coe.api.graphql.context import Context, EngineStatus
from coe.api.graphql.documents import Documents, Prepared
from coe.api.graphql.errors import format_error, refusal, status_of
from coe.api.graphql.measuring import Measured, root_field
from coe.api.http.requests import (
    Entrance,
    accept_correlation,
    check_nesting,
    read_body,
    request_info,
    response_headers,
)
from coe.api.http.texts import check_literals
from coe.api.schema import make_schema
from coe.audit.readings import Readings
from coe.authentication import Caller
from coe.errors import CoeError, Invalid, Problem, RateLimited, TooCostly, Unauthenticated
from coe.json_types import NotJson, read_json
from coe.rate_limits import Limited
from coe.work import Platform, RequestInfo

GRAPHQL_JSON = "application/graphql-response+json"
PLAIN_JSON = "application/json"


class GraphQLEndpoint:
    """The endpoint of one application, with its schema and its cached documents."""

    def __init__(
        self,
        platform: Platform,
        engine: Callable[[], EngineStatus],
    ) -> None:
        self._platform = platform
        self._engine = engine
        self._schema: strawberry.Schema = make_schema()
        self.documents = Documents(self._schema._schema)  # noqa: SLF001  # graphql-core's schema

    def router(self) -> APIRouter:
        """The route `/graphql`."""
        router = APIRouter()
        router.add_api_route("/graphql", self.respond, methods=["POST"], include_in_schema=False)
        return router

    async def respond(self, request: Request) -> Response:
        """Answer one request; every fault of it is an entry of `errors`."""
        measured = Measured()
        try:
            return await self._answer(request, measured)
        finally:
            measured.count()

    async def _answer(self, request: Request, measured: Measured) -> Response:
        about = request_info(request)
        entrance = Entrance(self._platform, request, about)
        try:
            actor = await entrance.actor()
            about = await accept_correlation(self._platform, actor, request, about)
            body = await _read(request)
        except Exception as error:  # noqa: BLE001  # the edge: it is masked, and logged
            return _refused(request, error, about, measured)
        try:
            result = await self.execute(entrance, about, body, measured)
        except (RateLimited, Unauthenticated) as error:
            return _refused(request, error, about, measured)
        except Exception as error:  # noqa: BLE001  # the same
            result = refusal(error, request_id=about.request_id)
        measured.note(result)
        status = 200 if result.get("data") or not _is_modern(request) else 400
        return _response(request, result, status, response_headers(about))

    async def execute(
        self,
        entrance: Entrance,
        about: RequestInfo,
        body: dict[str, Any],
        measured: Measured,
    ) -> dict[str, Any]:
        """Execute one operation for a caller, and return the response; notes its root field.

        Raises:
            TooCostly: The operation exceeds a limit of `coe.api.graphql.limits`.
            Unauthenticated: The caller may not enter any more: the body, or the turn, took long.
            RateLimited: The actor, or its address, has asked for too much at once, or in a while.
            Invalid: The body has no query, or names an operation that the query lacks.
        """
        query, variables, name = _parts(body)
        try:
            prepared = self.documents.prepare(query)
        except GraphQLError as error:
            raise _syntax_error(error) from error
        except RecursionError:
            message = f"The document is nested more than {limits.MAX_DEPTH} levels deep."
            raise TooCostly(message, limit="depth", most=limits.MAX_DEPTH) from None
        check_literals(prepared.document, query)
        if prepared.errors:
            return _with_errors({}, prepared.errors, about)
        operation = _operation(prepared, name)
        measured.field = root_field(operation)
        measure = limits.check_limits(
            self._schema._schema,  # noqa: SLF001  # the same
            prepared.document,
            operation,
            variables,
        )
        actor = await entrance.actor()
        await self._count(actor, about, measure)
        reads = operation.operation is OperationType.QUERY
        turns = self._platform.turns
        async with (
            turns.turn(actor.subject) if measure.computes else nullcontext(),
            self._entered(entrance, about) as (caller, readings),
        ):
            context = Context(
                platform=self._platform,
                actor=caller.actor,
                request=about,
                policy=caller.policy if reads else None,
                keeps_policy=reads,
                document=prepared.document,
                engine=self._engine,
                readings=readings,
            )
            result = await self._schema.execute(
                query,
                variable_values=variables,
                context_value=context,
                operation_name=name,
            )
        return _with_errors({"data": result.data}, result.errors or (), about, variables)

    @asynccontextmanager
    async def _entered(
        self, entrance: Entrance, about: RequestInfo
    ) -> AsyncIterator[tuple[Caller, Readings]]:
        """The caller of now, and what it reads (`Platform.readings`)."""
        caller = await entrance.caller()
        async with self._platform.readings(caller.actor, about) as readings:
            yield caller, readings

    async def _count(self, actor: Actor, about: RequestInfo, measure: limits.Measure) -> None:
        """Count the checks and the cost of a larger operation; small ones are not counted."""
        if measure.checks:
            await self._platform.limit(Limited.CHECK, about, actor=actor, amount=measure.checks)
        if measure.cost >= limits.COUNTED_COST:
            await self._platform.limit(Limited.QUERY, about, actor=actor, amount=measure.cost)


def _problem(code: str, message: str, path: str | None = None) -> Invalid:
    return Invalid([Problem(code, message, path=path)])


async def _read(request: Request) -> dict[str, Any]:
    """Read the body: one JSON object."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != PLAIN_JSON:
        raise _problem("INPUT_CONTENT_TYPE", f"Send the request as {PLAIN_JSON}.")
    try:
        body = read_json(await read_body(request))
    except NotJson as error:
        raise _problem("INPUT_JSON", f"The body cannot be read. {error}.") from None
    if isinstance(body, list):
        raise _problem("INPUT_BATCH", "Send one operation in a request: an array is not accepted.")
    if not isinstance(body, dict):
        raise _problem("INPUT_BODY", "The body is one JSON object with `query`.")
    check_nesting(body)
    return body


def _parts(body: dict[str, Any]) -> tuple[str, dict[str, Any] | None, str | None]:
    query, variables, name = body.get("query"), body.get("variables"), body.get("operationName")
    if not isinstance(query, str) or not query.strip():
        raise _problem("INPUT_QUERY", "`query` is the text of a GraphQL document.", "/query")
    if variables is not None and not isinstance(variables, dict):
        raise _problem("INPUT_VARIABLES", "`variables` is one JSON object.", "/variables")
    if name is not None and not isinstance(name, str):
        raise _problem("INPUT_OPERATION_NAME", "`operationName` is a string.", "/operationName")
    return query, variables, name or None


def _operation(prepared: Prepared, name: str | None) -> OperationDefinitionNode:
    operation = get_operation_ast(prepared.document, name)
    if operation is None:
        message = "The document has no such operation; name one of several by `operationName`."
        raise _problem("INPUT_OPERATION_NAME", message, "/operationName")
    if operation.operation is OperationType.SUBSCRIPTION:
        raise _problem("INPUT_OPERATION", "Subscriptions are not supported.", "/query")
    return operation


def _with_errors(
    response: dict[str, Any],
    errors: Iterable[GraphQLError],
    about: RequestInfo,
    variables: dict[str, Any] | None = None,
) -> dict[str, Any]:
    formatted = [
        format_error(error, request_id=about.request_id, variables=variables) for error in errors
    ]
    return {**response, "errors": formatted} if formatted else response


def _syntax_error(error: GraphQLError) -> CoeError:
    """The refusal of a document that cannot be parsed, or that has too many tokens."""
    if "Parsing aborted" in error.message:
        message = f"The document has more than {limits.MAX_DOCUMENT_TOKENS} tokens; ask for less."
        return TooCostly(message, limit="tokens", most=limits.MAX_DOCUMENT_TOKENS)
    place = error.locations[0] if error.locations else None
    return Invalid(
        [
            Problem(
                "INPUT_SYNTAX",
                error.message,
                path="/query",
                line=place.line if place else None,
                column=place.column if place else None,
            ),
        ],
    )


def _refused(
    request: Request, error: Exception, about: RequestInfo, measured: Measured
) -> Response:
    """The response to a request that is not GraphQL, or whose sender is not known.

    Clients of plain JSON expect 200 with an error that a correct request can have too.
    """
    body = refusal(error, request_id=about.request_id)
    measured.note(body)
    own = isinstance(error, CoeError) and not isinstance(error, Unauthenticated)
    status = status_of(error) if own or _is_modern(request) else 200
    return _response(request, body, status, response_headers(about, error))


def _is_modern(request: Request) -> bool:
    return GRAPHQL_JSON in request.headers.get("accept", "")


def _response(
    request: Request, body: dict[str, Any], status: int, headers: dict[str, str]
) -> Response:
    return Response(
        orjson.dumps(body),
        status_code=status,
        media_type=GRAPHQL_JSON if _is_modern(request) else PLAIN_JSON,
        headers=headers,
    )
