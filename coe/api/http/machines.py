"""The doors of machines: `POST /auth/workers` to enrol, `POST /auth/token` to sign in.

They are before any token. `POST /auth/workers` takes JSON, `{"team", "code", "proof", "name"}`, and
answers a refusal with a problem document (RFC 9457). With `POST /auth/workers/key` a worker renews
its key: `{"assertion", "proof"}`. `POST /auth/token` is the token endpoint of RFC 6749,
with its form and its errors. `/.well-known/oauth-authorization-server` describes it (RFC 8414).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qsl, unquote_plus

import orjson
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from coe.api.graphql.errors import refusal, status_of
from coe.api.http.requests import check_nesting, read_body, request_info, response_headers
from coe.errors import Invalid, Problem, Unauthenticated
from coe.formats import instants
from coe.identity.discovery import Discovery
from coe.identity.exchange import ACCESS_TOKEN_TYPE, TOKEN_EXCHANGE, by_exchange
from coe.identity.sign_in import (
    CLIENT_CREDENTIALS,
    TOKEN_PATH,
    Granted,
    TokenRefused,
    by_client_credentials,
)
from coe.identity.worker_renewal import renew_worker
from coe.identity.workers import Enrolled, enrol_worker
from coe.json_types import JSON, NotJson, read_json
from coe.rate_limits import Limited
from coe.work import Platform, RequestInfo

ENROL_PATH: Final = "/auth/workers"
RENEW_PATH: Final = f"{ENROL_PATH}/key"
METADATA_PATH: Final = "/.well-known/oauth-authorization-server"
_ENROLMENT: Final = ("team", "code", "proof", "name")
_RENEWAL: Final = ("assertion", "proof")
_FORM: Final = "application/x-www-form-urlencoded"
_MAX_FIELDS: Final = 20


def router(platform: Platform, discovery: Discovery) -> APIRouter:
    """The routes of machines; `discovery` has the keys of the issuers that teams trust."""
    routes = APIRouter(include_in_schema=False)

    @routes.post(ENROL_PATH)
    async def enrol(request: Request) -> Response:
        about = request_info(request)
        try:
            await platform.limit(Limited.SIGN_IN, about)
            given = await _object(request, _ENROLMENT)
            made = await enrol_worker(
                platform,
                team=given["team"],
                code=given["code"],
                proof=given["proof"],
                name=given["name"],
                request=about,
            )
        except Exception as error:  # noqa: BLE001  # the edge: it is masked, and logged
            return _problem(error, about)
        return JSONResponse(_told(made), status_code=201, headers=response_headers(about))

    _add_renewal(routes, platform)

    @routes.post(TOKEN_PATH)
    async def token(request: Request) -> Response:
        about = request_info(request)
        try:
            await platform.limit(Limited.SIGN_IN, about)
            form = await _form(request)
            granted = await _granted(platform, discovery, form, about)
        except TokenRefused as refused:
            body = {"error": refused.error, "error_description": refused.message}
            return JSONResponse(body, refused.http_status, headers=response_headers(about))
        except Exception as error:  # noqa: BLE001  # the edge: it is masked, and logged
            return _problem(error, about)
        answer = {
            "access_token": granted.access_token,
            "token_type": "Bearer",
            "expires_in": max(1, int(granted.expires_in)),
        }
        if form["grant_type"] == TOKEN_EXCHANGE:
            answer["issued_token_type"] = ACCESS_TOKEN_TYPE
        return JSONResponse(answer, headers=response_headers(about))

    @routes.get(METADATA_PATH)
    async def metadata() -> JSONResponse:
        issuer = platform.machines.issuer
        described = {
            "issuer": issuer,
            "token_endpoint": issuer + TOKEN_PATH,
            "grant_types_supported": [CLIENT_CREDENTIALS, TOKEN_EXCHANGE],
            "token_endpoint_auth_methods_supported": [
                "private_key_jwt",
                "client_secret_basic",
                "client_secret_post",
                "none",
            ],
            "token_endpoint_auth_signing_alg_values_supported": ["EdDSA", "Ed25519"],
        }
        return JSONResponse(described)

    return routes


def _add_renewal(routes: APIRouter, platform: Platform) -> None:
    @routes.post(RENEW_PATH)
    async def renew(request: Request) -> Response:
        about = request_info(request)
        try:
            await platform.limit(Limited.SIGN_IN, about)
            given = await _object(request, _RENEWAL)
            made = await renew_worker(platform, **given, request=about)
        except TokenRefused as refused:
            return _problem(Unauthenticated(refused.message), about)
        except Exception as error:  # noqa: BLE001  # the edge: it is masked, and logged
            return _problem(error, about)
        return JSONResponse(_told(made), headers=response_headers(about))


def _told(made: Enrolled) -> JSON:
    return {
        "worker": made.credential,
        "team": made.team,
        "subject": made.subject,
        "issuer": made.issuer,
        "expiresAt": instants.write(made.expires_at),
    }


async def _granted(
    platform: Platform, discovery: Discovery, form: dict[str, str], about: RequestInfo
) -> Granted:
    match form.get("grant_type"):
        case "client_credentials":
            return await by_client_credentials(platform, form, about)
        case "urn:ietf:params:oauth:grant-type:token-exchange":
            return await by_exchange(platform, discovery, form, about)
    known = f"the grant_type is {CLIENT_CREDENTIALS} or {TOKEN_EXCHANGE}"
    raise TokenRefused("unsupported_grant_type", known)


async def _object(request: Request, names: Sequence[str]) -> dict[str, str]:
    """The texts of an enrolment or a renewal.

    Raises:
        Invalid: The body is no such object.
    """
    try:
        body = read_json(await read_body(request))
    except NotJson as error:
        raise Invalid([Problem("INPUT_JSON", str(error), path="")]) from None
    check_nesting(body)
    given = body if isinstance(body, dict) else {}
    missing = [name for name in names if not isinstance(given.get(name), str)]
    if missing:
        raise Invalid(
            [Problem("INPUT_ENROLMENT", f"{each} is a text", path=f"/{each}") for each in missing]
        )
    return {name: str(given[name]) for name in names}


async def _form(request: Request) -> dict[str, str]:
    """The parameters of a token request, each at most once (RFC 6749, section 3.2)."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = await read_body(request)
    if kind != _FORM:
        raise TokenRefused("invalid_request", f"the Content-Type of a token request is {_FORM}")
    try:
        fields = parse_qsl(
            body.decode(), keep_blank_values=True, max_num_fields=_MAX_FIELDS, errors="strict"
        )
    except ValueError:
        raise TokenRefused("invalid_request", "the form cannot be read") from None
    form = dict(fields)
    if len(form) != len(fields):
        raise TokenRefused("invalid_request", "a parameter is there twice")
    return form | _basic(request.headers.get("authorization", ""), form)


def _basic(header: str, form: dict[str, str]) -> dict[str, str]:
    """The client and its secret of an Authorization header (RFC 6749, section 2.3.1)."""
    scheme, _, value = header.partition(" ")
    if not header:
        return {}
    try:
        decoded = base64.b64decode(value.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        decoded = ""
    client, colon, secret = decoded.partition(":")
    if scheme.lower() != "basic" or not colon or "client_secret" in form:
        raise TokenRefused("invalid_request", "the client is named once, by Basic or in the form")
    return {"client_id": unquote_plus(client), "client_secret": unquote_plus(secret)}


def _problem(error: Exception, about: RequestInfo) -> Response:
    """A refusal as a problem document; an error of ours is masked, and logged."""
    explained = refusal(error, request_id=about.request_id)["errors"][0]
    status = status_of(error)
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": explained["message"],
        **explained["extensions"],
    }
    headers = response_headers(about, error)
    return Response(orjson.dumps(body), status, headers, "application/problem+json")
