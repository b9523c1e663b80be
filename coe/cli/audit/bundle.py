"""Bundles of the audit log: download one from a server, verify one offline."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from coe.cli.api_client import ApiClient
from coe.cli.audit.known_logs import (
    key_in_bundle,
    known_logs_file,
    origin_of,
    read_known_logs,
    remember,
)
from coe.cli.output import problem_fields
from coe.cli.progress import progress
from coe.errors import CoeError, Problem, Unavailable

if TYPE_CHECKING:
    import httpx


def download(api: ApiClient, path: Path, wanted: Mapping[str, Any]) -> dict[str, object]:
    """Stream the bundle to a new file; the file gets its name only when it is complete.

    `wanted` is an AuditFilter; an empty one exports every event.

    Raises:
        CoeError: The server refused, or the path exists.
        BadParameter: There is no such folder.
    """
    import httpx  # noqa: PLC0415  # not needed to verify

    from coe.tls import client_context, why_unreached  # noqa: PLC0415  # the same

    if path.exists():
        raise CoeError(f"{path} exists already; name a new file", code="CONFLICT")
    if not path.parent.is_dir():
        message = f"{path.parent} is not a folder: make it first"
        raise click.BadParameter(message, param_hint="--to")
    draft = path.with_name(f"{path.name}.part")
    size = 0
    headers = {"Authorization": f"Bearer {api.token}"}
    verify = client_context(api.ca_file, environment=True)
    try:
        with (
            httpx.Client(timeout=60, trust_env=False, verify=verify) as client,
            client.stream(
                "GET", f"{api.url}/audit/bundle", headers=headers, params=dict(wanted)
            ) as answer,
            draft.open("wb") as file,
            progress("exporting", unit="bytes") as advance,
        ):
            if answer.is_error:
                answer.read()
                raise _refusal(answer)
            for part in answer.iter_bytes():
                size += file.write(part)
                advance(size)
        draft.replace(path)
    except httpx.HTTPError as error:
        raise Unavailable(f"{api.url} cannot be reached: {why_unreached(error)}") from None
    except OSError as error:
        raise CoeError(f"{path} cannot be written: {error.strerror}", code="INVALID") from None
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
    return {"path": str(path), "bytes": size}


def remember_key(api: ApiClient, path: Path) -> list[dict[str, object]]:
    """Remember the key of an exported bundle's log, the first time; else compare it.

    Returns:
        A problem if another key is known for the log; the bundle stays, as evidence.
    """
    key = key_in_bundle(path)
    if key is None:
        return []
    known = remember(key, api.url)
    if known.key == key:
        return []
    message = (
        f"{api.url} names another key of the log {origin_of(key)} than the one that is known here "
        f"since {known.since} from {known.source}: its operator changed it, or this is not the log"
    )
    help_text = f"ask the operator for the key, and then: coe audit trust {shlex.quote(key)}"
    return [problem_fields(Problem("AUDIT_KEY_CHANGED", message, help=help_text))]


def verify_bundle_file(path: Path, *, key: str | None, checkpoints: Path | None) -> dict[str, Any]:
    """Verify a bundle; returns the object of the JSON output.

    Without `key` it is verified with the key that this user knows for its log. If none is known,
    only the key that came with the bundle is left, and then nothing is proven.

    Raises:
        BadParameter: `key` is not a verifier key.
        CoeError: The remembered one is not.
    """
    from coe.audit.bundle_verification import verify_bundle  # noqa: PLC0415  # only here
    from coe.crypto.signing import KeyRefused, VerifyKey  # noqa: PLC0415  # only here

    source = "remembered" if key is None else "given"
    if key is None:
        known = read_known_logs().get(origin_of(key_in_bundle(path) or ""))
        source, key = ("bundle", None) if known is None else (source, known.key)
    try:
        if key is not None:
            VerifyKey.parse(key)
        with progress("verifying", path.stat().st_size, unit="bytes") as advance:
            result = verify_bundle(path, vkey=key, checkpoint_file=checkpoints, advance=advance)
    except KeyRefused as error:
        if source == "given":
            message = f"{error.message} For a key in a file, write --key @FILE."
            raise click.BadParameter(message, param_hint="--key") from None
        raise CoeError(f"{known_logs_file()}: {error.message}", code="INVALID") from None
    problems = [problem_fields(problem) for problem in result.problems]
    if source == "bundle":
        problems.append(problem_fields(_not_pinned(path, result.key)))
    return {
        "ok": result.ok and source != "bundle",
        "consistent": result.ok,
        "checkedEvents": result.checked_events,
        "treeSize": result.tree_size,
        "rootHash": result.root_hash.hex(),
        "key": result.key,
        "keySource": source,
        "problems": problems,
    }


def _not_pinned(path: Path, key: str) -> Problem:
    """The problem of a bundle of which only its own key is known: anybody can sign such a one."""
    message = (
        f"the key came with the bundle, and no key of the log {origin_of(key)} is known here: "
        "whoever wrote the bundle may have made the key, so nothing is proven"
    )
    again = f"coe audit verify {shlex.quote(str(path))} --key {shlex.quote(key)}"
    help_text = (
        "ask the log's operator for its key in another way (`coe audit key`), compare it, and pin "
        f"it: {again}"
    )
    return Problem("AUDIT_KEY_NOT_PINNED", message, help=help_text)


def _refusal(answer: httpx.Response) -> CoeError:
    try:
        body = answer.json()
    except ValueError:
        body = None
    errors = body.get("errors") if isinstance(body, dict) else None
    if not isinstance(errors, list) or not errors:
        return Unavailable(
            f"{answer.url} answered {answer.status_code}, but not as the platform does; "
            "is the address right?"
        )
    return CoeError(str(errors[0].get("message", "refused")), **errors[0].get("extensions", {}))
