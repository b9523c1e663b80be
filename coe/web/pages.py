"""The pages, all served from here: an index, the GraphQL explorer, and the documentation."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from string import Template

from fastapi import APIRouter
from fastapi.responses import FileResponse, HTMLResponse
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from coe.catalog.flows.manifest_schema import LOCAL_FLOW_FILE as LOCAL_FLOW_SCHEMA
from coe.decisions.schemas import DECISION_FILE as DECISION_SCHEMA
from coe.language.editor_schema import SCHEMA_FILE as PROFILE_SCHEMA
from coe.templates.manifest_schema import TEMPLATE_FILE as TEMPLATE_SCHEMA
from coe.templates.manifest_schema import TEMPLATE_FLOW_FILE as TEMPLATE_FLOW_SCHEMA
from coe.testing.suite_format import SUITE_SCHEMA_FILE as SUITE_SCHEMA
from coe.web.documentation import documentation_routes
from coe.web.headers import explorer_policy

STATIC = Path(__file__).resolve().parent / "static"
VENDOR = STATIC / "vendor"
EXAMPLES = STATIC / "examples"
# The JSON Schemas for editors; each is published under /schemas/ by its file name.
SCHEMAS = (
    PROFILE_SCHEMA,
    LOCAL_FLOW_SCHEMA,
    TEMPLATE_SCHEMA,
    TEMPLATE_FLOW_SCHEMA,
    DECISION_SCHEMA,
    SUITE_SCHEMA,
)


@dataclass(frozen=True, slots=True)
class Persona:
    """Somebody who may be chosen in the explorer of the demo, with a fixed token."""

    name: str
    token: str


@dataclass(frozen=True, slots=True)
class Example:
    """A tab of the explorer: a GraphQL document, and its variables as text."""

    query: str
    variables: str


def examples() -> tuple[Example, ...]:
    """The examples, in the order of their file names."""
    return tuple(
        Example(path.read_text(encoding="utf-8"), _variables(path))
        for path in sorted(EXAMPLES.glob("*.graphql"))
    )


def _variables(document: Path) -> str:
    path = document.with_suffix(".json")
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def routes(personas: Sequence[Persona]) -> APIRouter:
    """Create the routes of the pages and of the files; only the demo has personas."""
    index = (STATIC / "index.html").read_text(encoding="utf-8")
    explorer = Template((STATIC / "graphiql.html").read_text(encoding="utf-8"))
    data = _embedded(personas)
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    async def show_index() -> HTMLResponse:
        return HTMLResponse(index)

    @router.get("/graphiql")
    async def show_explorer() -> HTMLResponse:
        nonce = secrets.token_urlsafe(16)
        page = explorer.substitute(nonce=nonce, data=data)
        return HTMLResponse(page, headers={"Content-Security-Policy": explorer_policy(nonce)})

    for schema in SCHEMAS:
        _publish(router, schema)
    router.routes.append(Mount("/static", StaticFiles(directory=STATIC), name="static"))
    router.routes.extend(documentation_routes())
    return router


def _publish(router: APIRouter, schema: Path) -> None:
    @router.get(f"/schemas/{schema.name}")
    async def show_schema() -> FileResponse:
        return FileResponse(schema, media_type="application/schema+json")


def _embedded(personas: Sequence[Persona]) -> str:
    """The data of the explorer as JSON for a script element, which no text in it can end."""
    data = {
        "personas": [asdict(persona) for persona in personas],
        "examples": [asdict(example) for example in examples()],
    }
    return json.dumps(data).replace("<", "\\u003c")
