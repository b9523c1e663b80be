"""The pages of sign-in: choose an issuer, the account with its sessions, a refusal. No script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template
from typing import Final
from urllib.parse import urlencode

from fastapi.responses import HTMLResponse

from coe.web.headers import POLICY

_SHELL: Final = Template((Path(__file__).parent / "shell.html").read_text(encoding="utf-8"))
_HEADERS: Final = {
    "Content-Security-Policy": POLICY.replace("form-action 'none'", "form-action 'self'"),
    # A form of a page without a referrer says nothing of its origin, which is checked.
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A session as its person sees it; the times are texts."""

    id: str
    current: bool
    signed_in: str
    last_seen: str
    address: str
    client: str


@dataclass(frozen=True, slots=True)
class AccountView:
    """What the page of an account shows; `csrf` is the token of its forms."""

    subject: str
    display_name: str
    issuer: str
    csrf: str
    teams: tuple[str, ...]
    sessions: tuple[SessionRow, ...]


def choice_page(issuers: Mapping[str, str], back: str) -> HTMLResponse:
    """The page to choose by which issuer, given as titles by name, to sign in."""
    query = urlencode({"return": back})
    links = [
        f'      <li><a href="/auth/{escape(name)}/login?{escape(query)}">'
        f"Sign in with {escape(title)}</a></li>"
        for name, title in issuers.items()
    ]
    if not links:
        return _page("Sign in", "    <p>Nobody signs in here yet: no issuer is set up.</p>")
    return _page("Sign in", '    <ul class="doors">\n' + "\n".join(links) + "\n    </ul>")


def refused_page(text: str, *, status: int, again: str | None, request_id: str) -> HTMLResponse:
    """The page that says why nobody was signed in; `again` is where to try again."""
    body = f'    <p class="refusal" role="alert">{escape(text)}</p>\n'
    if again:
        body += f'    <p><a href="{escape(again)}">Try again</a></p>\n'
    body += f'    <p class="quiet">Request {escape(request_id)}</p>'
    return _page("Not signed in", body, status=status)


def account_page(view: AccountView) -> HTMLResponse:
    """The page of who is signed in: sessions, and the ways out."""
    teams = ", ".join(map(escape, view.teams)) or "no team"
    body = (
        f"    <p>{escape(view.display_name)} (<code>{escape(view.subject)}</code>), {teams}.</p>\n"
        + _form(f"/auth/{view.issuer}/logout", view.csrf, "Sign out")
        + _form(
            f"/auth/{view.issuer}/logout",
            view.csrf,
            "Sign out everywhere",
            (("everywhere", "1"),),
        )
        + "    <h2>Sessions</h2>\n"
        + _session_table(view)
    )
    return _page("Signed in", body)


def sign_out_page(issuer: str, csrf: str) -> HTMLResponse:
    """The page that asks whether to sign out: following a link ends nothing."""
    return _page("Sign out", _form(f"/auth/{issuer}/logout", csrf, "Sign out"))


def signed_out_page(title: str, end_session: str | None) -> HTMLResponse:
    """The page after the sign-out; the session at the issuer is a thing of its own."""
    body = '    <p>You are signed out here. <a href="/auth">Sign in again</a></p>'
    if end_session:
        body += (
            f"\n    <p>You may still be signed in at {escape(title)}: "
            f'<a href="{escape(end_session)}">sign out there too</a>.</p>'
        )
    return _page("Signed out", body)


def _session_table(view: AccountView) -> str:
    rows = "\n".join(_session_row(each, view.csrf) for each in view.sessions)
    heads = ("Signed in", "Last seen", "Address", "Browser", "")
    head = "".join(f'<th scope="col">{each}</th>' for each in heads)
    return (
        '    <table class="sessions">\n'
        f"      <thead><tr>{head}</tr></thead>\n      <tbody>\n{rows}\n      </tbody>\n"
        "    </table>"
    )


def _session_row(row: SessionRow, csrf: str) -> str:
    cells = "".join(
        f"<td>{escape(each)}</td>"
        for each in (row.signed_in, row.last_seen, row.address, row.client)
    )
    end = "this one"
    if not row.current:
        end = _form("/auth/sessions/revoke", csrf, "End it", (("session", row.id),)).strip()
    return f"        <tr>{cells}<td>{end}</td></tr>"


def _form(action: str, csrf: str, label: str, fields: Sequence[tuple[str, str]] = ()) -> str:
    hidden = "".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">'
        for name, value in (("csrf_token", csrf), *fields)
    )
    return (
        f'    <form method="post" action="{escape(action)}" class="action">'
        f'{hidden}<button type="submit">{escape(label)}</button></form>\n'
    )


def _page(title: str, body: str, *, status: int = 200) -> HTMLResponse:
    content = _SHELL.substitute(title=escape(title), body=body)
    return HTMLResponse(content, status_code=status, headers=_HEADERS)
