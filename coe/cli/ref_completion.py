"""The completion of refs, runs and human tasks: a shell asks the server, for a moment only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import click
from click.shell_completion import CompletionItem

from coe.cli.api_client import ApiClient, connect

SECONDS: Final = 3.0
"""How long a shell waits for an answer."""

_KINDS: Final = {
    "decision": "DECISION",
    "flow": "FLOW",
    "schedule": "FLOW",
    "system": "SYSTEM",
    "template": "TEMPLATE",
}
_ENTRIES: Final = """
query Entries($filter: CatalogFilter) {
  catalog(filter: $filter, orderBy: TITLE, first: 100) { nodes { ref title } }
}
"""
_VERSIONS: Final = """
query Versions($ref: String!) {
  found: NOUN(ref: $ref) { versions(first: 50) { nodes { version lifecycle } } }
}
"""
_RUNS: Final = """
query Runs { runs(first: 50) { nodes { id state requestedAt version { ref } } } }
"""
_TASKS: Final = "query Tasks { inbox(first: 50) { nodes { id title state } } }"


class CompletedText(click.types.StringParamType):
    """Text of which a shell completes the values that the server knows."""

    def __init__(self, values: Callable[[ApiClient, str, str], Iterable[CompletionItem]]) -> None:
        self._values = values

    def shell_complete(
        self,
        ctx: click.Context,
        param: click.Parameter,  # noqa: ARG002  # click's signature
        incomplete: str,
    ) -> list[CompletionItem]:
        """The values that begin so; none if the server does not answer."""
        noun = (ctx.parent.info_name if ctx.parent else None) or ""
        given = (ctx.params.get(name) for name in ("url", "token", "profile"))
        try:
            with ctx, connect(*given) as api:
                found = list(self._values(api, noun, incomplete))
        except Exception:  # noqa: BLE001  # a shell shows no errors: it completes nothing
            return []
        return [each for each in found if str(each.value).startswith(incomplete)]


def add_completion(command: click.Command) -> None:
    """Have a command's arguments `ref`, `flow`, `run` and `task` completed, if it asks a server."""
    asks = {each.name for each in command.params} >= {"url", "token", "profile"}
    for each in command.params:
        values = _VALUES.get(each.name or "")
        if asks and values and isinstance(each, click.Argument) and each.required:
            each.type = CompletedText(values)


def _refs(api: ApiClient, noun: str, incomplete: str) -> Iterator[CompletionItem]:
    ref, at, _ = incomplete.partition("@")
    if at and noun in {"decision", "flow", "template"}:
        found: Any = _ask(api, _VERSIONS.replace("NOUN", noun), {"ref": ref})["found"]
        for node in found["versions"]["nodes"]:
            yield CompletionItem(f"{ref}@{node['version']}", help=node["lifecycle"].lower())
        return
    namespace, slash, _ = incomplete.partition("/")
    filters = {
        **({"kinds": [_KINDS[noun]]} if noun in _KINDS else {}),
        **({"owners": [namespace]} if slash else {}),
    }
    for node in _ask(api, _ENTRIES, {"filter": filters or None})["catalog"]["nodes"]:
        yield CompletionItem(node["ref"], help=node["title"])


def _runs(api: ApiClient, _: str, __: str) -> Iterator[CompletionItem]:
    from coe.cli.documents import plain_id  # noqa: PLC0415  # only here

    for node in _ask(api, _RUNS, {})["runs"]["nodes"]:
        what = f"{node['version']['ref']} {node['state']} {node['requestedAt']}"
        yield CompletionItem(plain_id(node["id"]), help=what)


def _tasks(api: ApiClient, _: str, __: str) -> Iterator[CompletionItem]:
    from coe.cli.documents import plain_id  # noqa: PLC0415  # only here

    for node in _ask(api, _TASKS, {})["inbox"]["nodes"]:
        yield CompletionItem(plain_id(node["id"]), help=f"{node['title']} ({node['state']})")


def _ask(api: ApiClient, query: str, variables: dict[str, object]) -> Any:
    return api.call(query, variables, seconds=SECONDS)


_VALUES: Final = {"flow": _refs, "ref": _refs, "run": _runs, "task": _tasks}
