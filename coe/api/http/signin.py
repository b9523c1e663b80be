"""`/auth`: people sign in and out by an issuer, prove afresh who they are, and see their sessions.

Only signing in begins and ends with a GET, as its protocol has it: what comes back counts in the
browser that asked alone. All else that changes something is a POST of a form with its token.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, urlencode

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse

from coe.api.graphql.errors import refusal, status_of
from coe.api.http import browser
from coe.api.http.requests import read_body, request_info
from coe.crypto.jwks import SignatureRefused
from coe.errors import CoeError, NotFound, RateLimited, Unauthenticated
from coe.formats import instants, uuids
from coe.identity.models import Session
from coe.identity.signin import actions, exchange
from coe.identity.signin.errors import Reason, SignInRefused
from coe.identity.signin.id_token import check_logout_token
from coe.identity.signin.pending import Pending, cookie_suffix, local_path
from coe.identity.signin.sessions import OpenSession
from coe.identity.signin.sign_ins import CSRF_FIELD, SignIns
from coe.rate_limits import Limited
from coe.web import sign_in_pages as pages
from coe.work import RequestInfo

_FORM: Final = "application/x-www-form-urlencoded"
_NO_STORE: Final = {"Cache-Control": "no-store"}
Handler = Callable[[Request, RequestInfo], Awaitable[Response]]


def router(sign_ins: SignIns) -> APIRouter:
    """The routes of sign-in."""
    routes, doors = APIRouter(include_in_schema=False), _Doors(sign_ins)
    for method, path, handler in (
        ("GET", "/auth", doors.show),
        ("GET", "/auth/session", doors.tell),
        ("POST", "/auth/sessions/revoke", doors.end_session),
        ("GET", "/auth/{issuer}/login", doors.begin),
        ("GET", "/auth/{issuer}/callback", doors.finish),
        ("GET", "/auth/{issuer}/logout", doors.ask_to_sign_out),
        ("POST", "/auth/{issuer}/logout", doors.sign_out),
        ("POST", "/auth/{issuer}/backchannel-logout", doors.sign_out_from_issuer),
    ):
        routes.add_api_route(path, _guarded(handler), methods=[method], response_model=None)
    return routes


def _guarded(handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    """The handler, whose errors become a page for the person."""

    async def respond(request: Request) -> Response:
        about = request_info(request)
        try:
            return await handler(request, about)
        except Exception as error:  # noqa: BLE001  # the edge: it is masked, and logged
            shown = refusal(error, request_id=about.request_id)["errors"][0]["message"]
            text = error.message if isinstance(error, SignInRefused) else shown
            page = pages.refused_page(
                text, status=status_of(error), again="/auth", request_id=about.request_id
            )
            if isinstance(error, RateLimited):
                page.headers["Retry-After"] = str(error.extensions.get("retry_after", 60))
            return page

    return respond


@dataclass(frozen=True, slots=True)
class _Doors:
    """The handlers, over the parts of sign-in."""

    sign_ins: SignIns

    async def show(self, request: Request, about: RequestInfo) -> Response:
        """Who is signed in, with their sessions; else the issuers to choose from."""
        found = await self._session(request, about)
        if found is not None:
            return pages.account_page(await self._account(found))
        back = local_path(request.query_params.get("return"))
        issuers = self.sign_ins.issuers.current()
        return pages.choice_page({name: each.title for name, each in issuers.items()}, back)

    async def tell(self, request: Request, about: RequestInfo) -> Response:
        """For scripts of our pages: who is signed in, and the token that their requests carry."""
        found = None
        if not browser.is_from_elsewhere(request):
            found = await self._session(request, about)
        if found is None:
            return JSONResponse({"signedIn": False}, headers=_NO_STORE)
        body = {
            "signedIn": True,
            "subject": found.actor.subject,
            "displayName": found.actor.display_name,
            "csrfToken": found.csrf,
            "expiresAt": instants.write_seconds(found.row.expires_at),
        }
        return JSONResponse(body, headers=_NO_STORE)

    async def begin(self, request: Request, about: RequestInfo) -> Response:
        """Send the browser to the issuer; with `fresh=1`, to prove afresh who is signed in."""
        await self.sign_ins.platform.limit(Limited.SIGN_IN, about)
        settings = self.sign_ins.platform.settings
        name = request.path_params["issuer"]
        issuer = self.sign_ins.issuers.find(name)
        redirect = f"{browser.base_url(settings, request)}/auth/{name}/callback"
        session = None
        if request.query_params.get("fresh") == "1":
            found = await self._session(request, about)
            if found is not None and found.row.issuer == issuer.url:
                session = str(found.row.id)
        now = self.sign_ins.platform.clock()
        pending = Pending.begin(name, request.query_params.get("return"), now, session)
        address = await exchange.authorization_url(
            self.sign_ins.discovery, issuer, pending, redirect
        )
        response = RedirectResponse(address, status_code=303, headers=_NO_STORE)
        kept = pending.write(self.sign_ins.platform.macs)
        suffix = cookie_suffix(pending.state)
        browser.set_pending_cookie(response, settings, request, suffix, kept)
        return response

    async def finish(self, request: Request, about: RequestInfo) -> Response:
        """Take the person back from the issuer, and open their session."""
        await self.sign_ins.platform.limit(Limited.SIGN_IN, about)
        settings = self.sign_ins.platform.settings
        name = request.path_params["issuer"]
        self.sign_ins.issuers.find(name)
        suffix = cookie_suffix(request.query_params.get("state", ""))
        try:
            pending, signed_in = await self._redeem(request, about, name, suffix)
        except SignInRefused as refused:
            await actions.refuse_sign_in(self.sign_ins.platform, name, refused, about)
            again = f"/auth/{name}/login"
            response: Response = pages.refused_page(
                refused.message, status=refused.status, again=again, request_id=about.request_id
            )
        else:
            response = RedirectResponse(pending.back, status_code=303, headers=_NO_STORE)
            browser.set_session_cookie(response, settings, request, signed_in.cookie)
        if browser.pending_cookie(settings, request, suffix) is not None:
            browser.set_pending_cookie(response, settings, request, suffix, "")
        return response

    async def ask_to_sign_out(self, request: Request, about: RequestInfo) -> Response:
        """Ask whether to sign out: a link ends nothing."""
        found = await self._session(request, about)
        name = request.path_params["issuer"]
        self.sign_ins.issuers.find(name)
        if found is None:
            return RedirectResponse("/auth", status_code=303, headers=_NO_STORE)
        return pages.sign_out_page(name, found.csrf)

    async def sign_out(self, request: Request, about: RequestInfo) -> Response:
        """End the session of the browser, or with `everywhere=1` all of its person."""
        platform, name = self.sign_ins.platform, request.path_params["issuer"]
        found, form = await self._form(request, about)
        issuer = self.sign_ins.issuers.find(name)
        async with platform.work(found.actor, about) as work:
            await actions.sign_out(work, everywhere=form.get("everywhere") == "1")
        end_session = await self._end_session(request, name)
        response = pages.signed_out_page(issuer.title, end_session)
        browser.clear_session_cookie(response, platform.settings, request)
        return response

    async def end_session(self, request: Request, about: RequestInfo) -> Response:
        """End one of the person's sessions, from the page of the account."""
        found, form = await self._form(request, about)
        try:
            key = uuids.read(form.get("session", ""))
        except ValueError:
            raise NotFound from None
        async with self.sign_ins.platform.work(found.actor, about) as work:
            await actions.revoke_session(work, key, "ended on the page of the account")
        return RedirectResponse("/auth", status_code=303, headers=_NO_STORE)

    async def sign_out_from_issuer(self, request: Request, about: RequestInfo) -> Response:
        """End the sessions of who signed out at the issuer (Back-Channel Logout 1.0)."""
        await self.sign_ins.platform.limit(Limited.SIGN_IN, about)
        platform, name = self.sign_ins.platform, request.path_params["issuer"]
        issuer = self.sign_ins.issuers.find(name)
        token = (await _read_form(request)).get("logout_token", "")
        try:
            verified = await self.sign_ins.discovery.verify(issuer.url, token)
            logout = check_logout_token(
                verified, issuer=issuer.url, client_id=issuer.client_id, now=platform.clock()
            )
        except (SignatureRefused, SignInRefused) as error:
            detail = error.detail if isinstance(error, SignInRefused) else str(error)
            refused = SignInRefused(Reason.TOKEN_REFUSED, f"logout token: {detail}")
            await actions.refuse_sign_in(platform, name, refused, about)
            return JSONResponse({"error": "invalid_request"}, status_code=400, headers=_NO_STORE)
        async with platform.work(actions.SIGN_IN, about) as work:
            await actions.sign_out_from_issuer(work, name, issuer.url, logout)
        return Response(status_code=200, headers=_NO_STORE)

    async def _redeem(
        self, request: Request, about: RequestInfo, name: str, suffix: str
    ) -> tuple[Pending, actions.SignedIn]:
        sign_ins, platform = self.sign_ins, self.sign_ins.platform
        issuer, answer = sign_ins.issuers.find(name), dict(request.query_params)
        cookie = browser.pending_cookie(platform.settings, request, suffix)
        state, now = answer.get("state", ""), platform.clock()
        pending = Pending.read(platform.macs, cookie, state=state, now=now)
        if pending.issuer != name:
            raise SignInRefused(Reason.ANSWER_OF_ANOTHER, f"begun at {pending.issuer}")
        code = await exchange.read_answer(sign_ins.discovery, issuer, answer)
        redirect = f"{browser.base_url(platform.settings, request)}/auth/{name}/callback"
        identity = await exchange.redeem(
            sign_ins.discovery, issuer, pending, code=code, redirect_uri=redirect, now=now
        )
        previous = await self._session(request, about)
        async with platform.work(actions.SIGN_IN, about) as work:
            signed_in = await actions.sign_in(
                work,
                sign_ins.issuers,
                pending,
                identity,
                client=request.headers.get("user-agent"),
                previous=str(previous.row.id) if previous else None,
            )
        return pending, signed_in

    async def _session(self, request: Request, about: RequestInfo) -> OpenSession | None:
        cookie = browser.session_cookie(self.sign_ins.platform.settings, request)
        return await self.sign_ins.find_session(cookie, about)

    async def _form(
        self, request: Request, about: RequestInfo
    ) -> tuple[OpenSession, dict[str, str]]:
        """The session of a form and its fields, if the form is one of ours."""
        settings = self.sign_ins.platform.settings
        cookie = browser.session_cookie(settings, request)
        if not cookie:
            raise Unauthenticated("You are not signed in.")
        form = await _read_form(request)  # first: a session may end while it is sent
        found = await self.sign_ins.session(cookie, about)
        await self.sign_ins.check_csrf(
            found,
            cookie=cookie,
            given=form.get(CSRF_FIELD, ""),
            own_origin=browser.is_own_origin(settings, request),
            about=about,
        )
        return found, form

    async def _end_session(self, request: Request, name: str) -> str | None:
        """Where the person ends the session at the issuer, if it says so and answers."""
        issuer = self.sign_ins.issuers.find(name)
        try:
            metadata = await self.sign_ins.discovery.metadata(issuer.url)
        except CoeError:
            return None
        if metadata.end_session_endpoint is None:
            return None
        base = browser.base_url(self.sign_ins.platform.settings, request)
        query = {"client_id": issuer.client_id, "post_logout_redirect_uri": f"{base}/auth"}
        return f"{metadata.end_session_endpoint}?{urlencode(query)}"

    async def _account(self, found: OpenSession) -> pages.AccountView:
        async with self.sign_ins.platform.read(found.actor) as read:
            mine = await actions.list_sessions(read, subject=found.actor.subject, first=100)
            teams = sorted(read.policy.teams(found.actor.subject))
        sign_in = found.actor.sign_in
        return pages.AccountView(
            subject=found.actor.subject,
            display_name=found.actor.display_name,
            issuer=sign_in.issuer if sign_in else "",
            csrf=found.csrf,
            teams=tuple(teams),
            sessions=tuple(_row(each, found) for each in mine.items),
        )


def _row(row: Session, found: OpenSession) -> pages.SessionRow:
    return pages.SessionRow(
        id=str(row.id),
        current=row.id == found.row.id,
        signed_in=instants.write_seconds(row.created_at),
        last_seen=instants.write_seconds(row.last_seen_at),
        address=row.address or "",
        client=row.client or "",
    )


async def _read_form(request: Request) -> dict[str, str]:
    """The fields of a form; of one that is given twice, the last."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        return {}
    content = (await read_body(request)).decode("utf-8", "replace")
    try:
        return dict(parse_qsl(content, max_num_fields=20))
    except ValueError:
        return {}
