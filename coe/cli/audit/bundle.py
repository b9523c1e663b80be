"""Bundles of the audit log: download one from a server, verify one offline."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coe.cli.api_client import ApiClient
from coe.cli.output import problem_fields
from coe.cli.progress import progress
from coe.errors import CoeError, Unavailable

if TYPE_CHECKING:
    import httpx


def download(api: ApiClient, path: Path, wanted: Mapping[str, Any]) -> dict[str, object]:
    """Stream the bundle to a new file; the file gets its name only when it is complete.

    `wanted` is an AuditFilter; an empty one exports every event.

    Raises:
        CoeError: The server refused, or the path exists.
    """
    import httpx  # noqa: PLC0415  # not needed to verify

    if path.exists():
        raise CoeError(f"{path} exists already; name a new file", code="CONFLICT")
    draft = path.with_name(f"{path.name}.part")
    size = 0
    headers = {"Authorization": f"Bearer {api.token}"}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with (
            httpx.Client(timeout=60, trust_env=False) as client,
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
        raise Unavailable(f"{api.url} cannot be reached: {type(error).__name__}") from None
    except OSError as error:
        raise CoeError(f"{path} cannot be written: {error.strerror}", code="INVALID") from None
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
    return {"path": str(path), "bytes": size}


def verify_bundle_file(path: Path, *, key: str | None, checkpoints: Path | None) -> dict[str, Any]:
    """Verify a bundle; returns the object of the JSON output.

    Raises:
        CoeError: `key` is not a verifier key.
    """
    from coe.audit.bundle_verification import verify_bundle  # noqa: PLC0415  # only here
    from coe.crypto.signing import KeyRefused  # noqa: PLC0415  # only here

    try:
        with progress("verifying", path.stat().st_size, unit="bytes") as advance:
            result = verify_bundle(path, vkey=key, checkpoint_file=checkpoints, advance=advance)
    except KeyRefused as error:
        message = f"--key: {error.message} For a key in a file, write --key @FILE."
        raise CoeError(message, code="INVALID") from None
    return {
        "ok": result.ok,
        "checkedEvents": result.checked_events,
        "treeSize": result.tree_size,
        "rootHash": result.root_hash.hex(),
        "key": result.key,
        "problems": [problem_fields(problem) for problem in result.problems],
    }


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
