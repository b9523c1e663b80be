"""`coe audit`: fetch a bundle from a server, and tell what verifying it found."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coe.cli.output import problem_fields
from coe.cli.server import Server
from coe.errors import CoeError, Unavailable

if TYPE_CHECKING:
    import httpx


def download(server: Server, path: Path) -> dict[str, object]:
    """Stream the bundle to a new file; it has its name only when it is whole.

    Raises:
        CoeError: The server's refusal, or the path is taken.
    """
    import httpx  # noqa: PLC0415  # not needed to verify

    if path.exists():
        raise CoeError(f"{path} is there already; name a new file", code="CONFLICT")
    draft = path.with_name(f"{path.name}.part")
    size = 0
    headers = {"Authorization": f"Bearer {server.token}"}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with (
            httpx.Client(timeout=60, trust_env=False) as client,
            client.stream("GET", f"{server.url}/audit/bundle", headers=headers) as answer,
            draft.open("wb") as file,
        ):
            if answer.is_error:
                answer.read()
                raise _refusal(answer)
            for part in answer.iter_bytes():
                size += file.write(part)
        draft.replace(path)
    except httpx.HTTPError as error:
        raise Unavailable(f"{server.url} cannot be reached: {type(error).__name__}") from None
    except OSError as error:
        raise CoeError(f"{path} cannot be written: {error.strerror}", code="INVALID") from None
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
    return {"path": str(path), "bytes": size}


def verify_bundle(path: Path, *, key: str | None, checkpoints: Path | None) -> dict[str, Any]:
    """What verifying the bundle found, as the JSON output has it."""
    from coe.audit.bundle_verification import verify_bundle as verify  # noqa: PLC0415  # only here
    from coe.crypto.signing import KeyRefused  # noqa: PLC0415  # only here

    try:
        told = verify(path, vkey=key, checkpoint_file=checkpoints)
    except KeyRefused as error:
        raise CoeError(f"--key: {error.message}", code="INVALID") from None
    return {
        "ok": told.ok,
        "checkedEvents": told.checked_events,
        "treeSize": told.tree_size,
        "rootHash": told.root_hash.hex(),
        "key": told.key,
        "problems": [problem_fields(problem) for problem in told.problems],
    }


def _refusal(answer: httpx.Response) -> CoeError:
    try:
        told = answer.json()
    except ValueError:
        told = None
    errors = told.get("errors") if isinstance(told, dict) else None
    if not isinstance(errors, list) or not errors:
        return Unavailable(
            f"{answer.url} answered {answer.status_code}, and not as the platform does: "
            "is the address right?"
        )
    return CoeError(str(errors[0].get("message", "refused")), **errors[0].get("extensions", {}))
