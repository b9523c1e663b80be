"""The page for an address that leads nowhere: for browsers; programs get JSON."""

from __future__ import annotations

from pathlib import Path
from string import Template
from typing import Final

from fastapi.exception_handlers import http_exception_handler
from fastapi.responses import HTMLResponse
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

_SHELL: Final = Template((Path(__file__).parent / "shell.html").read_text(encoding="utf-8"))
_BODY: Final = """\
    <p>Nothing is at this address.</p>
    <ul class="doors">
      <li><a href="/">What there is here</a></li>
      <li><a href="/graphiql">The GraphQL explorer</a></li>
      <li><a href="/docs/index.html">The documentation</a></li>
    </ul>"""


def missing_page() -> HTMLResponse:
    """The page, with the ways on."""
    return HTMLResponse(_SHELL.substitute(title="Not found", body=_BODY), status_code=404)


async def answer_missing(request: Request, error: Exception) -> Response:
    """Answer an address that leads nowhere; what somebody else refused keeps its own words."""
    refused = error if isinstance(error, HTTPException) else HTTPException(404)
    wants_page = "text/html" in request.headers.get("accept", "")
    if wants_page and request.method == "GET" and refused.detail == "Not Found":
        return missing_page()
    return await http_exception_handler(request, refused)
