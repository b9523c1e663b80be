"""The pages: served from here, under a strict policy, with examples that fit the schema."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from graphql import FieldNode, OperationDefinitionNode, parse, validate
from graphql.execution.values import get_variable_values

from coe.api.graphql import limits
from coe.api.schema import make_schema
from coe.app import create_app
from coe.demo.api import create_demo_app
from coe.settings import Settings
from coe.web.documentation import SITE, documentation_routes, style_hashes
from coe.web.pages import EXAMPLES, SCHEMAS, STATIC, VENDOR, examples
from coe.web.vendor import SERVED
from tests.factories.keys import give_keys

WEB = STATIC.parent
ELSEWHERE = re.compile(r"(?:https?:)?//[A-Za-z0-9-]+\.[A-Za-z0-9.-]+")
NAMES = {"http://www.w3.org", "//www.w3.org"}
"""Names of XML namespaces, never fetched."""


@pytest.fixture
def settings(tmp_path: Path, keys_folder: Path) -> Settings:
    """Settings without a database: no page uses it."""
    nowhere = "postgresql://nobody@127.0.0.1:1/none"
    return give_keys(Settings(database_url=nowhere, data_dir=tmp_path), keys_folder)


def _client(app: FastAPI, host: str = "127.0.0.1:8700") -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=f"http://{host}")


async def test_the_pages_and_their_files_are_served_from_here(settings: Settings) -> None:
    async with _client(create_app(settings)) as client:
        for path in ("/", "/graphiql"):
            page = await client.get(path)
            assert page.status_code == 200
            named = re.findall(r'(?:src|href)="([^"]+)"', page.text)
            assert named
            for target in named:
                assert target.startswith("/")
                found = await client.get(target)
                wanted = 503 if target == "/readyz" else 200  # there is no database here
                assert found.status_code == wanted, f"{target}: was `make setup` run?"


async def test_no_file_names_another_host(settings: Settings) -> None:
    async with _client(create_app(settings)) as client:
        pages = [(await client.get(path)).text for path in ("/", "/graphiql")]
    own = [path for path in STATIC.rglob("*") if path.is_file() and VENDOR not in path.parents]
    texts = pages + [path.read_text(encoding="utf-8") for path in own]
    found = {match for text in texts for match in ELSEWHERE.findall(text)} - NAMES
    assert found == set()
    lock = (WEB / "package-lock.json").read_text(encoding="utf-8")
    assert ELSEWHERE.findall(lock) == []


def test_every_package_is_pinned_by_its_hash() -> None:
    lock = json.loads((WEB / "package-lock.json").read_text(encoding="utf-8"))
    packages = {name: package for name, package in lock["packages"].items() if name}
    assert packages
    assert all(package["integrity"].startswith("sha512-") for package in packages.values())
    assert not any("resolved" in package for package in packages.values())
    wanted = json.loads((WEB / "package.json").read_text(encoding="utf-8"))["dependencies"]
    for name, version in wanted.items():
        assert packages[f"node_modules/{name}"]["version"] == version


def test_fetched_files_load_nothing_else() -> None:
    assert {path.name for path in VENDOR.iterdir()} >= set(SERVED.values()), "run `make setup`"
    sheet = (VENDOR / "graphiql.min.css").read_text(encoding="utf-8")
    assert "@import" not in sheet
    assert all(url.startswith("data:") for url in re.findall(r"url\(\s*['\"]?([^)'\"]+)", sheet))
    for script in VENDOR.glob("*.js"):
        text = script.read_text(encoding="utf-8")
        assert "sourceMappingURL" not in text
        assert "new Function(" not in text
        assert not re.search(r"[^.\w]eval\(", text)


async def test_every_response_has_the_policy(settings: Settings) -> None:
    async with _client(create_app(settings)) as client:
        for path in ("/", "/graphiql", "/healthz", "/static/page.css", "/nothing"):
            response = await client.get(path)
            policy = response.headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert "script-src 'self';" in policy
            assert "frame-ancestors 'none'" in policy
            assert response.headers["x-content-type-options"] == "nosniff"
            assert response.headers["referrer-policy"] == "no-referrer"
        first, second = [(await client.get("/graphiql")).text for _ in range(2)]
    nonces = [re.search(r'data-nonce="([^"]+)"', page)[1] for page in (first, second)]  # type: ignore[index]
    assert nonces[0] != nonces[1]


@pytest.mark.parametrize("path", ["/tasks", "/nosuch", "/docs/nosuch", "/static/nosuch"])
async def test_an_address_that_leads_nowhere_has_a_page_with_the_ways_on(
    path: str, settings: Settings
) -> None:
    async with _client(create_app(settings)) as client:
        page = await client.get(path, headers={"Accept": "text/html,*/*;q=0.8"})
        program = await client.get(path, headers={"Accept": "application/json"})
    assert (page.status_code, program.status_code) == (404, 404)
    assert 'href="/docs/index.html"' in page.text
    assert "<html" not in program.text


def test_the_explorer_starts_with_who_asks_and_with_its_open_tab() -> None:
    script = (STATIC / "graphiql.js").read_text(encoding="utf-8")
    start = script.split("} else {\n  reveal(", 1)[1].split("}\n", 1)[0]
    assert "useSession();" in start
    assert "show();" not in start
    assert "...shown.start" in script
    assert "query: open.query" in script


async def test_only_our_hosts_are_served(settings: Settings) -> None:
    own = settings.model_copy(update={"public_url": "https://coe.example", "allowed_hosts": ("b",)})
    app = create_app(own)
    for host, status in (
        ("127.0.0.1:8700", 200),
        ("localhost", 200),
        ("[::1]:8700", 200),
        ("coe.example", 200),
        ("B:80", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example", 421),
    ):
        async with _client(app, host) as client:
            assert (await client.get("/")).status_code == status, host
            assert (await client.get("/healthz")).status_code == 200


async def test_personas_are_offered_in_a_demo_only(settings: Settings) -> None:
    async with _client(create_demo_app(settings)) as client:
        assert "demo-finance-approver" in (await client.get("/graphiql")).text
    async with _client(create_app(settings)) as client:
        assert "demo-" not in (await client.get("/graphiql")).text


def test_the_examples_fit_the_schema_and_the_limits() -> None:
    schema = make_schema()._schema
    uses = set()
    assert len(examples()) == 4
    for example in examples():
        document = parse(example.query, max_tokens=limits.MAX_DOCUMENT_TOKENS)
        assert validate(schema, document) == []
        given = json.loads(example.variables)
        for operation in document.definitions:
            assert isinstance(operation, OperationDefinitionNode)
            values = get_variable_values(schema, operation.variable_definitions or (), given)
            assert not isinstance(values, list), values
            limits.check_limits(schema, document, operation, given)
            uses |= {
                node.name.value
                for node in operation.selection_set.selections
                if isinstance(node, FieldNode)
            }
    assert uses >= {
        "catalog",
        "previewTemplate",
        "instantiateTemplate",
        "publish",
        "startRun",
        "completeHumanTask",
        "auditLog",
        "verifyAudit",
    }
    named = {path.stem for path in EXAMPLES.glob("*.json")}
    assert named == {path.stem for path in EXAMPLES.glob("*.graphql")}


@pytest.mark.parametrize("schema", [file.name for file in SCHEMAS])
async def test_the_schemas_of_documents_are_published_for_editors(
    settings: Settings, schema: str
) -> None:
    async with _client(create_app(settings)) as client:
        answer = await client.get(f"/schemas/{schema}")
        index = await client.get("/")
    assert f"/schemas/{schema}" in index.text
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/schema+json")
    assert answer.json()["$schema"] == "https://json-schema.org/draft/2020-12/schema"


async def test_the_documentation_has_a_policy_with_the_hashes_of_its_own_scripts(
    settings: Settings,
) -> None:
    async with _client(create_app(settings)) as client:
        start = await client.get("/docs", follow_redirects=True)
        page = await client.get("/docs/start.html")
        missing = await client.get("/docs/nothing.html")
        folder = await client.get("/docs/how-to/review/")
        sheet = re.search(r'href="(assets/stylesheets[^"]+)"', start.text.replace("./", ""))
        assert sheet is not None
        assert (await client.get(f"/docs/{sheet[1]}")).status_code == 200
    assert (start.status_code, page.status_code, missing.status_code) == (200, 200, 404)
    assert "begins at /docs/index.html" in missing.text
    assert folder.headers["location"] == "/docs/how-to/review.html"
    [policy] = page.headers.get_list("content-security-policy")
    scripts = re.findall(r"<script>(.*?)</script>", page.text, re.DOTALL)
    assert scripts
    for script in scripts:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert len(style_hashes(SITE)) == 1  # the sheet that the search adds


async def test_documentation_that_is_not_built_says_how(tmp_path: Path) -> None:
    app = FastAPI(routes=documentation_routes(tmp_path))
    async with _client(app) as client:
        answer = await client.get("/docs/start.html")
    assert answer.status_code == 404
    assert "make docs" in answer.text


async def test_no_page_of_the_documentation_loads_anything_from_elsewhere() -> None:
    for page in SITE.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert not re.search(r'<(?:script|img|iframe)[^>]*src="(?:https?:)?//', text), page
        assert not re.search(r'<link[^>]*rel="stylesheet"[^>]*href="(?:https?:)?//', text), page
