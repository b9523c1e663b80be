"""The documentation under /docs, as `make docs` built it, with a content policy of its own.

The generator writes a few short scripts into each page. The policy names their hashes, computed
from the built pages at start; no other inline script runs, and nothing comes from elsewhere.
"""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path
from typing import Final

from fastapi.responses import PlainTextResponse
from starlette.responses import RedirectResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from coe.web.headers import POLICY

SITE: Final = Path(__file__).resolve().parent / "site"
_INLINE_SCRIPT: Final = re.compile(r"<script>(.*?)</script>", re.DOTALL)
_NOT_BUILT: Final = "The documentation is not built here. Run `make docs`, then start again.\n"


def script_hashes(site: Path) -> tuple[str, ...]:
    """The sources `'sha256-…'` of the inline scripts of all pages, sorted."""
    scripts = {
        script
        for page in site.rglob("*.html")
        for script in _INLINE_SCRIPT.findall(page.read_text(encoding="utf-8"))
    }
    return tuple(sorted(f"'sha256-{_digest(script)}'" for script in scripts))


def documentation_policy(site: Path) -> str:
    """The Content Security Policy of the site's pages."""
    scripts = " ".join(("script-src 'self'", *script_hashes(site)))
    return (
        POLICY.replace("script-src 'self'", scripts).replace(
            "img-src 'self'", "img-src 'self' data:"
        )
        + "; worker-src 'self'"
    )


def documentation_routes(site: Path = SITE) -> list[BaseRoute]:
    """The routes below /docs; without a built site they say how to build it (status 404)."""
    if not (site / "index.html").is_file():
        return [Route("/docs{path:path}", _not_built)]
    pages = _WithPolicy(StaticFiles(directory=site, html=True), documentation_policy(site))
    return [Route("/docs", _to_index), Mount("/docs", pages, name="docs")]


async def _to_index(_: object) -> RedirectResponse:
    return RedirectResponse("/docs/index.html")


async def _not_built(_: object) -> PlainTextResponse:
    return PlainTextResponse(_NOT_BUILT, status_code=404)


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


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
