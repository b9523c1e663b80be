"""Each format of text has one reader and one writer: `coe.formats`, `coe.json_types`, the schema.

Other modules under `coe/` call none of the functions that read or write one of them by themselves,
but where the list below says why.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from coe.formats import durations
from coe.language.json_schema.validator import matches

ROOT = Path(__file__).resolve().parents[2]
# Revisions of the database are frozen; the readers themselves.
EXEMPT = ("coe/migrations/", "coe/formats/", "coe/json_types.py")
METHODS = {
    *("fromisoformat", "isoformat", "strptime", "strftime", "utcfromtimestamp"),
    *("json.loads", "orjson.loads"),
}
FUNCTIONS = {"UUID", "float", "urlparse", "urlsplit"}
# Parts of patterns of instants, UUIDs and durations.
PATTERNS = re.compile(r"\\d\{4\}-|\\d\\d-\\d\\d|\[0-9a-f(?:A-F)?\]\{8\}|P\(\?|PT\(|\^P")

OURS = "written by this platform"
TOOL = "the answer of a process that this one started"
NUMBER = "a number already"
ADDRESS = "takes an address apart; whether it may be used is decided elsewhere"
ALLOWED = {
    # JSON
    ("coe/access/records.py", "orjson.loads"): OURS,
    ("coe/audit/bundle_format.py", "orjson.loads"): f"a line of a bundle, {OURS}: digests are next",
    ("coe/audit/checkpoint_file.py", "orjson.loads"): OURS,
    ("coe/audit/queries.py", "orjson.loads"): OURS,
    ("coe/catalog/versions/signatures.py", "json.loads"): f"{OURS}, and signed",
    ("coe/audit/signed_file.py", "orjson.loads"): OURS,
    ("coe/cli/flow/entrypoints.py", "json.loads"): TOOL,
    ("coe/cli/output.py", "json.loads"): OURS,
    ("coe/cli/profiles.py", "json.loads"): OURS,
    ("coe/crypto/jose.py", "orjson.loads"): "claims of a token, whose signature is checked",
    ("coe/crypto/keys.py", "orjson.loads"): f"{OURS}, and sealed",
    ("coe/db/__init__.py", "orjson.loads"): OURS,
    ("coe/db/plans.py", "orjson.loads"): OURS,
    ("coe/demo/company_systems.py", "orjson.loads"): OURS,
    ("coe/demo/processes.py", "json.loads"): OURS,
    ("coe/demo/story.py", "json.loads"): OURS,
    ("coe/gateway/sockets.py", "orjson.loads"): "messages of Prefect; what may pass is named",
    ("coe/language/diff/step_tree.py", "json.loads"): "copies a value",
    ("coe/language/diff/steps.py", "json.loads"): "copies a value",
    ("coe/language/expressions/jq_process.py", "json.loads"): TOOL,
    ("coe/language/expressions/jq_worker.py", "json.loads"): "stands alone; what its parent wrote",
    ("coe/language/json_schema/validator.py", "json.loads"): "copies a schema",
    ("coe/language/yaml_reader.py", "json.loads"): "names repeated keys; numbers by `json_types`",
    ("coe/language/yaml_reader.py", "orjson.loads"): "is it JSON? The value is not used",
    ("coe/leaves/notify.py", "orjson.loads"): TOOL,
    ("coe/leaves/notify_process.py", "json.loads"): "what its parent wrote",
    ("coe/leaves/openapi_fetch.py", "orjson.loads"): "a document of others, read for its addresses",
    ("coe/installation/sbom.py", "json.loads"): "the lock file of npm, which is shipped",
    (
        "coe/catalog/search/asking.py",
        "orjson.loads",
    ): "the parts of a cursor, each read by its type",
    ("coe/paging.py", "orjson.loads"): OURS,
    ("coe/identity/signin/pending.py", "orjson.loads"): "what it wrote itself, with a code",
    ("coe/review/suite_process.py", "json.loads"): "what its parent wrote",
    ("coe/review/suites.py", "orjson.loads"): TOOL,
    ("coe/sdk/testing.py", "json.loads"): "copies a value",
    # numbers
    ("coe/cli/run/follow.py", "float"): NUMBER,
    ("coe/decisions/table.py", "float"): NUMBER,
    ("coe/human_tasks/opening.py", "float"): NUMBER,
    ("coe/language/expressions/jq_worker.py", "float"): "seconds, from its parent",
    ("coe/language/yaml_reader.py", "float"): "the digits of a number of YAML",
    ("coe/leaves/oauth2.py", "float"): NUMBER,
    ("coe/machine/try_catch.py", "float"): NUMBER,
    ("coe/runs/drawings.py", "float"): NUMBER,
    # times
    ("coe/runs/worker_presence.py", "strftime"): "a sentence for people",
    # addresses
    ("coe/installation/configuration.py", "urlsplit"): "hides the password of an address",
    ("coe/api/http/browser.py", "urlsplit"): ADDRESS,
    ("coe/processes/http_process.py", "urlsplit"): ADDRESS,
    ("coe/audit/sinks/object_store.py", "urlsplit"): ADDRESS,
    ("coe/channels.py", "urlsplit"): ADDRESS,
    ("coe/cli/api_client.py", "urlsplit"): ADDRESS,
    ("coe/demo/run.py", "urlsplit"): ADDRESS,
    ("coe/identity/discovery.py", "urlsplit"): ADDRESS,
    ("coe/identity/signin/exchange.py", "urlsplit"): ADDRESS,
    ("coe/language/openapi/servers.py", "urlsplit"): ADDRESS,
    ("coe/language/request_arguments.py", "urlsplit"): "an address to call: http and a host",
    ("coe/sdk/client.py", "urlsplit"): ADDRESS,
    ("coe/tls.py", "urlsplit"): ADDRESS,
    ("coe/web/headers.py", "urlsplit"): ADDRESS,
    ("coe/web/hosts.py", "urlsplit"): ADDRESS,
    # patterns
    ("coe/access/actor.py", "pattern"): "names a run as an actor, in small letters only",
    ("coe/gateway/forms.py", "pattern"): "the forms that Prefect reads, which may have a space",
    ("coe/gateway/rules.py", "pattern"): "a path of Prefect's, in small letters only",
}


def uses(source: str) -> Iterator[str]:
    """The readers and writers that a module calls by itself."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Attribute(value=ast.Name(id=module), attr=name) if (
                f"{module}.{name}" in METHODS
            ):
                yield f"{module}.{name}"
            case ast.Attribute(attr=name) if name in METHODS:
                yield name
            case ast.Call(func=ast.Name(id=name), args=[_, *_]) if name in FUNCTIONS:
                yield name
            case ast.Constant(value=str(text)) if PATTERNS.search(text):
                yield "pattern"


def test_no_other_module_reads_or_writes_a_format() -> None:
    found = {
        (name, use)
        for path in sorted((ROOT / "coe").rglob("*.py"))
        if not (name := path.relative_to(ROOT).as_posix()).startswith(EXEMPT)
        for use in uses(path.read_text())
    }
    assert found - ALLOWED.keys() == set(), "use coe.formats or coe.json_types, or say why not"
    assert ALLOWED.keys() - found == set(), "no longer needed"


@pytest.mark.parametrize(
    ("source", "use"),
    [
        ("datetime.fromisoformat(text)", "fromisoformat"),
        ("decode('runs', after, [datetime.fromisoformat])", "fromisoformat"),
        ("row.at.isoformat()", "isoformat"),
        ("UUID(text)", "UUID"),
        ("float(text)", "float"),
        ("orjson.loads(body)", "orjson.loads"),
        (r"re.compile(r'\d{4}-\d{2}-\d{2}')", "pattern"),
        (r"re.compile(r'PT(?:(\d+)H)?')", "pattern"),
    ],
)
def test_a_breach_is_found(source: str, use: str) -> None:
    assert list(uses(source)) == [use]


@pytest.mark.parametrize(
    "text",
    [
        *("PT1S", "P1W", "P1W2D", "P1DT2H", "PT0.25S", "PT1H1S", "P0.5DT1.5M", "PT1M"),
        *("P", "PT", "P1Y", "1S", "P1DT", "PT1S1M", "P1D1W", "P.5D", "PT1,5S", "PT1S\n"),
    ],
)
def test_the_pattern_of_durations_takes_what_their_reader_takes(text: str) -> None:
    try:
        durations.read(text)
    except durations.DurationError:
        assert not matches(durations.PATTERN, text)
    else:
        assert matches(durations.PATTERN, text)
