"""Sign in as a job of a CI, or as a registered client, with what the environment has.

It has either `COE_CLIENT_ID` and `COE_CLIENT_SECRET` of a registered client; or `COE_ID_TOKEN`, a
token of the CI (of GitLab's `id_tokens`); or `ACTIONS_ID_TOKEN_REQUEST_URL` and
`ACTIONS_ID_TOKEN_REQUEST_TOKEN`, by which GitHub gives one. `COE_CLIENT_SECRET_FILE` and
`COE_ID_TOKEN_FILE` may name a file in place of the secret.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from coe.errors import Unauthenticated, Unavailable

if TYPE_CHECKING:
    import httpx

ID_TOKEN: Final = "COE_ID_TOKEN"  # noqa: S105  # the name of a variable
TEAM: Final = "COE_TEAM"
"""The team whose trust rule is meant, where those of several fit."""
_GITHUB_URL: Final = "ACTIONS_ID_TOKEN_REQUEST_URL"
_GITHUB_TOKEN: Final = "ACTIONS_ID_TOKEN_REQUEST_TOKEN"  # noqa: S105  # the name of a variable
_CLIENT: Final = ("COE_CLIENT_ID", "COE_CLIENT_SECRET")
_IN_FILE: Final = "_FILE"
_EXCHANGE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
_ID_TOKEN_TYPE: Final = "urn:ietf:params:oauth:token-type:id_token"  # noqa: S105  # a name
_SECONDS: Final = 30.0


def is_here(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the environment has something to sign in with."""
    known = ((ID_TOKEN,), (_GITHUB_URL, _GITHUB_TOKEN), _CLIENT)
    here = {name.removesuffix(_IN_FILE) for name, value in environment.items() if value}
    return any(here.issuperset(names) for names in known)


def access_token(
    url: str,
    environment: Mapping[str, str] = os.environ,
    *,
    ca_file: Path | None = None,
    transport: httpx.BaseTransport | None = None,
) -> str:
    """Sign in to the server at this address, and return the access token, good for minutes.

    Raises:
        Unauthenticated: There is nothing to sign in with, or it is refused.
        Unavailable: The server, or that of the CI, cannot be reached.
    """
    import httpx  # noqa: PLC0415  # most commands do without it

    from coe.tls import client_context  # noqa: PLC0415  # the same

    environment = _with_files(environment)
    for name in (ID_TOKEN, _GITHUB_URL, _GITHUB_TOKEN, *_CLIENT, TEAM):
        if not _is_text(environment.get(name, "")):
            raise Unauthenticated(f"{name} has text that is not valid Unicode: copy it again")
    verify = client_context(ca_file, environment=True)
    with httpx.Client(timeout=_SECONDS, verify=verify, transport=transport) as http:
        if all(environment.get(name) for name in _CLIENT):
            form = {
                "grant_type": "client_credentials",
                "client_id": environment[_CLIENT[0]],
                "client_secret": environment[_CLIENT[1]],
            }
        else:
            form = {
                "grant_type": _EXCHANGE,
                "subject_token": _id_token(http, url, environment),
                "subject_token_type": _ID_TOKEN_TYPE,
            }
            if environment.get(TEAM):
                form["audience"] = environment[TEAM]
        request = http.build_request("POST", f"{url}/auth/token", data=form)
        return str(_answer(http, request, "access_token"))


def _with_files(environment: Mapping[str, str]) -> Mapping[str, str]:
    """The environment with the secrets that stand in files, which `<variable>_FILE` names."""
    names = [each for each in (ID_TOKEN, _CLIENT[1]) if environment.get(each + _IN_FILE)]
    if not names:
        return environment
    from coe.settings.sources import given_secret  # noqa: PLC0415  # pydantic is slow to import

    return {**environment, **{name: given_secret(name, environment) or "" for name in names}}


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _id_token(http: httpx.Client, url: str, environment: Mapping[str, str]) -> str:
    """The token by which the CI says which job this is, for this server as its audience."""
    if environment.get(ID_TOKEN):
        return environment[ID_TOKEN]
    if not (environment.get(_GITHUB_URL) and environment.get(_GITHUB_TOKEN)):
        raise Unauthenticated(
            f"there is nothing to sign in with: set {ID_TOKEN}, or {' and '.join(_CLIENT)}; in "
            "GitHub Actions the job needs `permissions: id-token: write`"
        )
    bearer = {"Authorization": f"Bearer {environment[_GITHUB_TOKEN]}"}
    asked = httpx_url(environment[_GITHUB_URL], audience=url)
    return str(_answer(http, http.build_request("GET", asked, headers=bearer), "value"))


def httpx_url(url: str, **parameters: str) -> Any:
    """An address with further parameters beside those that it has."""
    import httpx  # noqa: PLC0415  # the same

    return httpx.URL(url).copy_merge_params(parameters)


def _answer(http: httpx.Client, request: httpx.Request, name: str) -> Any:
    import httpx  # noqa: PLC0415  # the same

    from coe.tls import why_unreached  # noqa: PLC0415  # the same

    try:
        response = http.send(request)
    except httpx.TransportError as error:
        message = f"{request.url.host} cannot be reached ({why_unreached(error)})"
        raise Unavailable(message) from None
    try:
        answer = response.json()
    except ValueError:
        answer = None
    if response.is_success and isinstance(answer, dict) and answer.get(name):
        return answer[name]
    said = answer.get("error_description") if isinstance(answer, dict) else None
    message = str(said or f"{request.url.host} answered {response.status_code}")
    if response.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
        raise Unavailable(message)
    raise Unauthenticated(message)
