"""The documentation under /docs, as `make docs` built it, with a content policy of its own.

The generator writes a few short scripts into each page, and its own script adds the style sheet of
the search. The policy names their hashes, computed from the built site at start; nothing else that
is inline has an effect, and nothing comes from elsewhere.
"""

from __future__ import annotations

import ast
import base64
import hashlib
import re
from pathlib import Path
from typing import Final

from fastapi.concurrency import run_in_threadpool
from fastapi.responses import PlainTextResponse
from starlette.datastructures import Headers
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from coe.web.headers import POLICY
from coe.web.missing_page import missing_page

SITE: Final = Path(__file__).resolve().parent / "site"
_INLINE_SCRIPT: Final = re.compile(r"<script>(.*?)</script>", re.DOTALL)
# In the script of the generator: where it adds a sheet, and the text of that sheet.
_ADDED_SHEET: Final = re.compile(r'"style",\{\},(\w+)\.toString\(\)')
_TEXT: Final = r"\b{name}=('(?:[^'\\]|\\.)*')"
_NO_PAGE: Final = "There is no such page. The documentation begins at /docs/index.html.\n"
_NOT_BUILT: Final = "The documentation is not built here. Run `make docs`, then start again.\n"


def script_hashes(site: Path) -> tuple[str, ...]:
    """The sources `'sha256-…'` of the inline scripts of all pages, sorted."""
    pages = (page.read_text(encoding="utf-8") for page in site.rglob("*.html"))
    return _sources({script for page in pages for script in _INLINE_SCRIPT.findall(page)})


def style_hashes(site: Path) -> tuple[str, ...]:
    """The sources `'sha256-…'` of the style sheets that the scripts of the site add, sorted."""
    sheets: set[str] = set()
    for script in site.rglob("assets/javascripts/*.js"):
        text = script.read_text(encoding="utf-8")
        for name in _ADDED_SHEET.findall(text):
            sheets |= set(map(ast.literal_eval, re.findall(_TEXT.format(name=name), text)))
    return _sources(sheets)


def documentation_policy(site: Path) -> str:
    """The Content Security Policy of the site's pages."""
    policy = POLICY + "; worker-src 'self'"
    for directive, sources in (
        ("script-src 'self'", script_hashes(site)),
        ("style-src 'self'", style_hashes(site)),
        ("img-src 'self'", ("data:",)),
    ):
        policy = policy.replace(directive, " ".join((directive, *sources)))
    return policy


def documentation_routes(site: Path = SITE) -> list[BaseRoute]:
    """The routes below /docs; without a built site they say how to build it (status 404)."""
    if not (site / "index.html").is_file():
        return [Route("/docs{path:path}", _not_built)]
    pages = _WithPolicy(_Pages(directory=site, html=True), documentation_policy(site))
    return [Route("/docs", _to_index), Mount("/docs", pages, name="docs")]


async def _to_index(_: object) -> RedirectResponse:
    return RedirectResponse("/docs/index.html")


async def _not_built(_: object) -> PlainTextResponse:
    return PlainTextResponse(_NOT_BUILT, status_code=404)


class _Pages(StaticFiles):
    """The files of the site. What is not there is answered in plain words.

    The generator's own page of that case loads its style from the root of the host.
    """

    async def get_response(self, path: str, scope: Scope) -> Response:
        """The file; `how-to/review/` leads to `how-to/review.html`."""
        found, _ = await run_in_threadpool(self.lookup_path, path)
        if path in {"", "."} or found:
            return await super().get_response(path, scope)
        page = f"{path.rstrip('/')}.html"
        known, _ = await run_in_threadpool(self.lookup_path, page)
        if known:
            return RedirectResponse(f"/docs/{page}")
        if "text/html" in Headers(scope=scope).get("accept", ""):
            return missing_page()
        return PlainTextResponse(_NO_PAGE, status_code=404)


def _sources(texts: set[str]) -> tuple[str, ...]:
    digests = (hashlib.sha256(text.encode()).digest() for text in texts)
    return tuple(sorted(f"'sha256-{base64.b64encode(each).decode()}'" for each in digests))


class _WithPolicy:
    """Adds the policy to each response of an application."""

    def __init__(self, app: ASGIApp, policy: str) -> None:
        self._app = app
        self._policy = policy.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                header = (b"content-security-policy", self._policy)
                message = {**message, "headers": [*message.get("headers", ()), header]}
            await send(message)

        await self._app(scope, receive, send_with_policy)
