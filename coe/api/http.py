"""GraphQL over HTTP: POST of one JSON object, answered as the specification has it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import orjson
import strawberry
from fastapi import APIRouter, Request, Response
from graphql import GraphQLError, OperationDefinitionNode, OperationType, get_operation_ast

from coe.access.actor import Actor
from coe.api import limits
from coe.api.context import Context, EngineStatus
from coe.api.documents import Documents, Prepared
from coe.api.errors import answer, formatted
from coe.api.schema import make_schema
from coe.errors import CoeError, Invalid, Problem, TooCostly, Unauthenticated
from coe.work import Platform, RequestInfo

GRAPHQL_JSON = "application/graphql-response+json"
PLAIN_JSON = "application/json"

_CORRELATION = re.compile(r"[A-Za-z0-9._:-]{1,100}")


class GraphQLEndpoint:
    """What answers the requests of one application."""

    def __init__(
        self,
        platform: Platform,
        engine: Callable[[], EngineStatus],
    ) -> None:
        """Make the schema, and keep documents of it."""
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
        """Answer one request; whatever is wrong with it is an entry of `errors`."""
        about = request_info(request)
        try:
            actor = await authenticate(self._platform, request, about)
            body = await _read(request)
        except Exception as error:  # noqa: BLE001  # the edge: it is masked, and logged
            return _refused(request, error, about)
        try:
            result = await self.execute(actor, about, body)
        except Exception as error:  # noqa: BLE001  # the same
            result = answer(error, request_id=about.request_id)
        return _response(request, result, 200 if result.get("data") else 400, about)

    async def execute(
        self,
        actor: Actor,
        about: RequestInfo,
        body: dict[str, Any],
    ) -> dict[str, Any]:
        """Carry out one operation for an actor and give the response.

        Raises:
            TooCostly: The operation asks for more than `coe.api.limits` allows.
            Invalid: The body has no query, or names no operation of it.
        """
        query, variables, name = _parts(body)
        try:
            prepared = self.documents.prepare(query)
        except GraphQLError as error:
            raise _too_long_or(error) from error
        except RecursionError:
            message = f"The document is nested more than {limits.MAX_DEPTH} levels deep."
            raise TooCostly(message, limit="depth", most=limits.MAX_DEPTH) from None
        if prepared.errors:
            return {"errors": [formatted(e, request_id=about.request_id) for e in prepared.errors]}
        operation = _operation(prepared, name)
        limits.check(self._schema._schema, prepared.document, operation, variables)  # noqa: SLF001  # the same
        context = Context(
            platform=self._platform,
            actor=actor,
            request=about,
            document=prepared.document,
            engine=self._engine,
        )
        result = await self._schema.execute(
            query,
            variable_values=variables,
            context_value=context,
            operation_name=name,
        )
        response: dict[str, Any] = {"data": result.data}
        if result.errors:
            response["errors"] = [
                formatted(error, request_id=about.request_id) for error in result.errors
            ]
        return response


async def authenticate(platform: Platform, request: Request, about: RequestInfo) -> Actor:
    """Find out who sends a request, by its `Authorization: Bearer …`.

    Raises:
        Unauthenticated: Nobody that we know.
    """
    scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not bearer.strip():
        raise Unauthenticated
    return await platform.authenticate(bearer.strip(), about)


def request_info(request: Request) -> RequestInfo:
    """Where a request came from. Its id is ours; a well-formed correlation id the caller's."""
    correlation = request.headers.get("x-correlation-id", "")
    return RequestInfo(
        correlation_id=correlation if _CORRELATION.fullmatch(correlation) else None,
        address=request.client.host if request.client else None,
    )


def _problem(code: str, message: str, path: str | None = None) -> Invalid:
    return Invalid([Problem(code, message, path=path)])


async def _read(request: Request) -> dict[str, Any]:
    """The body: one JSON object of at most 2 MiB."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != PLAIN_JSON:
        raise _problem("INPUT_CONTENT_TYPE", f"Send the request as {PLAIN_JSON}.")
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limits.MAX_BODY:
            message = f"The request is larger than {limits.MAX_BODY} bytes."
            raise TooCostly(message, limit="body", most=limits.MAX_BODY)
        chunks.append(chunk)
    try:
        body = orjson.loads(b"".join(chunks))
    except orjson.JSONDecodeError:
        raise _problem("INPUT_JSON", "The body is not JSON.") from None
    if isinstance(body, list):
        raise _problem("INPUT_BATCH", "Send one operation a request: arrays are not taken.")
    if not isinstance(body, dict):
        raise _problem("INPUT_BODY", "The body is one JSON object with `query`.")
    check_nesting(body)
    return body


def check_nesting(body: object) -> None:
    """Refuse what recursion over it would not survive; this walk needs none."""
    level = [body]
    for _ in range(limits.MAX_NESTING):
        level = [
            inner
            for value in level
            if isinstance(value, dict | list)
            for inner in (value.values() if isinstance(value, dict) else value)
        ]
        if not level:
            return
    message = f"The request is nested more than {limits.MAX_NESTING} levels deep."
    raise TooCostly(message, limit="nesting", most=limits.MAX_NESTING)


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
        raise _problem("INPUT_OPERATION", "Subscriptions are not served.", "/query")
    return operation


def _too_long_or(error: GraphQLError) -> CoeError:
    """The parser stops at too many tokens; every other fault of it is the document's."""
    if "Parsing aborted" in error.message:
        message = f"The document has more than {limits.MAX_TOKENS} tokens; ask for less."
        return TooCostly(message, limit="tokens", most=limits.MAX_TOKENS)
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


def _refused(request: Request, error: Exception, about: RequestInfo) -> Response:
    """The answer to what is no GraphQL request, or comes from nobody."""
    body = answer(error, request_id=about.request_id)
    status = error.status if isinstance(error, CoeError) else 200
    if isinstance(error, Unauthenticated) and not _is_modern(request):
        status = 200
    return _response(request, body, status, about, exact=True)


def _is_modern(request: Request) -> bool:
    return GRAPHQL_JSON in request.headers.get("accept", "")


def _response(
    request: Request,
    body: dict[str, Any],
    status: int,
    about: RequestInfo,
    *,
    exact: bool = False,
) -> Response:
    """Encode it. Clients of plain JSON get 200 with any GraphQL response, as they expect."""
    modern = _is_modern(request)
    return Response(
        orjson.dumps(body),
        status_code=status if modern or exact else 200,
        media_type=GRAPHQL_JSON if modern else PLAIN_JSON,
        headers={"X-Request-ID": about.request_id, "Cache-Control": "no-store"},
    )
