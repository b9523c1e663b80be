"""The group of `coe audit`, with its commands."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import click

from coe.cli.api_client import ApiClient, connect, server_options, with_api
from coe.cli.audit.filters import audit_filter
from coe.cli.audit.losses import accept_loss, losses
from coe.cli.documents import document, plain_id
from coe.cli.grammar import Noun, example
from coe.cli.input_files import read_text_input
from coe.cli.output import Result, Table, View, printed
from coe.cli.pages import Page, fetch, notes_on, paged
from coe.cli.progress import progress
from coe.cli.settings_option import config_option, settings_from
from coe.errors import CoeError, NotFound
from coe.formats import uuids

_LIST: Final = """
query Log($filter: AuditFilter, $first: Int!, $after: String) {
  auditLog(filter: $filter, first: $first, after: $after) {
    totalCount
    pageInfo { hasNextPage endCursor }
    nodes { id index at actor actorKind action resource team outcome rule correlationId }
  }
}
"""
_SHOW: Final = """
query Event($id: ID!) {
  node(id: $id) {
    ... on AuditEvent {
      id index at actor actorKind action resource team outcome rule correlationId requestId
      address leafHash reason detail
      proof { treeSize rootHash leafIndex path checkpoint }
    }
  }
}
"""
_CHECKPOINT: Final = "query Checkpoint { auditCheckpoint { treeSize rootHash at note } }"
_CONSISTENCY: Final = (
    "query Grown($old: Int!, $new: Int!) { auditConsistency(from: $old, to: $new) }"
)
_VERIFY: Final = document("""
query Verify {
  verifyAudit { ok checkedEvents treeSize rootHash problems { ...problem } }
}
""")


_REFUSED: Final = """
query Refused($settled: Boolean!, $first: Int!, $after: String) {
  refusedRows(settled: $settled, first: $first, after: $after) {
    totalCount
    pageInfo { hasNextPage endCursor }
    nodes { id storedAt why actor action resource settled }
  }
}
"""
_SETTLE: Final = document("""
mutation Settle($id: ID!, $reason: String!) {
  settleRefusedRow(id: $id, reason: $reason) { id problems { ...problem } }
}
""")


@click.group(cls=Noun)
def command() -> None:
    """Read, export and verify the audit log."""


@command.command("list")
@audit_filter
@paged(50)
@example(
    "coe audit list --resource flow:sales/order-to-cash --since 7d",
    "coe audit list --action runs:run:cancel --outcome DENIED",
)
@printed()
@with_api
def list_events(api: ApiClient, page: Page, wanted: dict[str, Any]) -> Result:
    """List the events that you may read, the newest first; reading them is recorded."""
    found = fetch(api, _LIST, {"filter": wanted or None}, page, "auditLog")
    rows = [row | {"event": plain_id(row["id"])} for row in found["nodes"]]
    columns = ["index", "at", "actor", "action", "resource", "outcome", "event"]
    return Result(found, Table(rows, columns, "No events."), notes_on(found))


@command.command()
@click.argument("event")
@example("coe audit show 01a204ad-a69e-70a2-985e-cb36c368b5b1 --output json")
@printed()
@with_api
def show(api: ApiClient, event: str) -> Result:
    """Show the event with this id: its detail, if you may read it, and its proof."""
    found = api.call(_SHOW, {"id": _event_id(event)})["node"]
    if not found:
        raise NotFound(f"{event} is not the id of an event")
    hidden = {"id", "proof", "detail"}
    views: list[View] = [
        f"{name + ':':<15} {value}"
        for name, value in found.items()
        if name not in hidden and value is not None
    ]
    if found["detail"] is not None and isinstance(found["detail"], dict):
        rows = [{"detail": name, "value": value} for name, value in found["detail"].items()]
        views.append(Table(rows, ["detail", "value"]))
    proof = found["proof"]
    views.append(
        f"proven in the tree of {proof['treeSize']}, root {proof['rootHash']}"
        if proof
        else "not sealed yet"
    )
    return Result(found, views)


@command.command()
@click.option(
    "--from", "older", type=click.IntRange(0, 2**31 - 1), help="Prove that the log has only grown."
)
@example("coe audit checkpoint", "coe audit checkpoint --from 1200")
@printed()
@with_api
def checkpoint(api: ApiClient, older: int | None) -> Result:
    """Print the newest signed state of the log; with `--from`, the proof since an older size."""
    found = api.call(_CHECKPOINT)["auditCheckpoint"]
    if found is None:
        return Result(None, "nothing is sealed yet")
    if older is None:
        return Result(found, found["note"].removesuffix("\n"))
    path = api.call(_CONSISTENCY, {"old": older, "new": found["treeSize"]})["auditConsistency"]
    data = {**found, "from": older, "consistency": path}
    return Result(data, [found["note"].removesuffix("\n"), "", f"since {older}:", *path])


@command.command()
@click.option("--to", "path", required=True, type=click.Path(path_type=Path))
@audit_filter
@example(
    "coe audit export --to audit.jsonl",
    "coe audit export --to january.jsonl --since 2026-01-01 --before 2026-02-01",
)
@printed()
@with_api
def export(api: ApiClient, path: Path, wanted: dict[str, Any]) -> Result:
    """Write the events up to the newest checkpoint, each with its proof, to PATH.

    With a filter, the leaf hashes of all other events stay in the bundle, so that each proof and
    the root still stand. The key of the server's log is remembered the first time, for
    `coe audit verify`; exit code 1 if the server names another one later.
    """
    from coe.cli.audit.bundle import download, remember_key  # noqa: PLC0415  # slow to import

    written = download(api, path, wanted)
    size = written["bytes"]
    problems = remember_key(api, path)
    line = f"{size} bytes written to {path}; verify them with: coe audit verify {path}"
    data = {**written, "problems": problems}
    return Result(data, line, problems=problems, code=1 if problems else 0)


@command.command()
@click.argument("path", required=False, type=click.Path(exists=True, path_type=Path))
@click.option("--key", help="The log's public key that you trust (a C2SP verifier key), or @FILE.")
@click.option(
    "--checkpoints",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file of checkpoints kept elsewhere; the bundle must be consistent with them.",
)
@server_options
@example("coe audit verify audit.jsonl --key @log.vkey", "coe audit verify")
@printed()
def verify(
    path: Path | None,
    key: str | None,
    checkpoints: Path | None,
    url: str | None,
    token: str | None,
    profile: str | None,
) -> Result:
    """Verify the bundle at PATH, offline: every row, completeness, the signature.

    Without `--key` the key is the one that `coe audit export` or `coe audit trust` remembered for
    the log. If none is known, the bundle is only consistent with the key that came with it, which
    proves nothing. Without PATH, the server verifies its whole log. Exit code 0 if everything is
    proven, 1 if not, with the rows that are not.
    """
    if path is None:
        if key is not None or checkpoints:
            raise click.UsageError("--key and --checkpoints are for a bundle: give its PATH")
        with connect(url, token, profile) as api, progress("verifying the log"):
            return _verified(api.call(_VERIFY)["verifyAudit"])
    from coe.cli.audit.bundle import verify_bundle_file  # noqa: PLC0415  # cryptography is slow to import

    given = None if key is None else _key_text(key, "--key")
    return _verified(verify_bundle_file(path, key=given, checkpoints=checkpoints), str(path))


@command.command("key")
@config_option
@example("coe audit key > log.vkey")
@printed()
def show_key(config: str | None) -> Result:
    """Print the public key of the log, for those who verify bundles (needs the signing key)."""
    from coe.bootstrap import log_key  # noqa: PLC0415  # slow to import

    text = log_key(settings_from(config))
    return Result({"key": text}, text)


@command.command()
@click.argument("key")
@example("coe audit trust @log.vkey")
@printed()
def trust(key: str) -> Result:
    """Remember KEY (a C2SP verifier key, or @FILE), as the log's operator gave it to you.

    It replaces the key that is known for the log, and `coe audit verify` uses it from now on.
    """
    from coe.cli.audit.known_logs import origin_of  # noqa: PLC0415  # as below
    from coe.cli.audit.known_logs import trust as keep  # noqa: PLC0415  # as below
    from coe.crypto.signing import KeyRefused, VerifyKey  # noqa: PLC0415  # slow to import

    given = _key_text(key, "KEY")
    try:
        VerifyKey.parse(given)
    except KeyRefused as error:
        raise click.BadParameter(error.message, param_hint="KEY") from None
    log = keep(given, "coe audit trust")
    line = f"bundles of {origin_of(given)} are verified with {given}"
    return Result({"origin": origin_of(given), "key": log.key, "since": log.since}, line)


@command.command("refused")
@click.option("--settled", is_flag=True, help="Those that somebody has settled.")
@paged(50)
@example("coe audit refused", "coe audit refused --settled")
@printed()
@with_api
def list_refused(api: ApiClient, page: Page, settled: bool) -> Result:  # noqa: FBT001  # click passes it by keyword
    """List the rows of the log that the platform did not write: they are no events.

    What such a row says is whatever somebody wrote into the database.
    """
    found = fetch(api, _REFUSED, {"settled": settled}, page, "refusedRows")
    rows = [row | {"row": plain_id(row["id"])} for row in found["nodes"]]
    columns = ["storedAt", "why", "actor", "action", "row"]
    return Result(found, Table(rows, columns, "No refused rows."), notes_on(found))


@command.command()
@click.argument("row")
@click.option("--reason", required=True, help="What it is and what was done; kept in the log.")
@example("coe audit settle 01a204ad-a69e-70a2-985e-cb36c368b5b1 --reason 'a restored test row'")
@printed()
@with_api
def settle(api: ApiClient, row: str, reason: str) -> Result:
    """Settle the refused ROW, after a look at it: its alarm ends, and the row stays."""
    done = api.call(_SETTLE, {"id": row, "reason": reason})["settleRefusedRow"]
    refused = done["id"] is None
    view = () if refused else f"settled: {row}"
    return Result(done, view, problems=done["problems"], code=int(refused))


command.add_command(losses)
command.add_command(accept_loss)


def _key_text(key: str, option: str) -> str:
    """A key as it was given, or the content of the file of `@FILE`.

    Raises:
        BadParameter: There is none, or the file cannot be read.
    """
    try:
        text = read_text_input(key[1:]).strip() if key.startswith("@") else key
    except CoeError as error:
        raise click.BadParameter(error.message, param_hint=option) from None
    if not text:
        where = f"{key[1:]} is empty" if key.startswith("@") else "it is empty"
        raise click.BadParameter(f"there is no key: {where}", param_hint=option)
    return text


def _event_id(text: str) -> str:
    """An id of an event; a plain UUID gets its kind, because other UUIDs are looked for first."""
    try:
        return f"audit_event:{uuids.read(text)}"
    except ValueError:
        return text


def _verified(result: dict[str, Any], file: str | None = None) -> Result:
    verdict = "proven" if result["ok"] else "NOT proven"
    if result.get("keySource") == "bundle" and result["consistent"]:
        verdict = "consistent with its own key only"
    key = f", key {result['key']}" if "key" in result else ""
    line = (
        f"{verdict}: {result['checkedEvents']} events, tree of {result['treeSize']}, "
        f"root {result['rootHash']}{key}"
    )
    problems = result["problems"]
    return Result(result, line, problems=problems, file=file, code=0 if result["ok"] else 1)
