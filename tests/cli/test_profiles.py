"""Profiles: servers and tokens in the user's configuration, for that user alone."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from coe.cli.api_client import ApiClient
from coe.cli.profiles import profiles_file
from tests.cli.commands import run
from tests.factories.certificates import Authority

A, B = "http://a.example", "http://b.example"


@pytest.fixture(autouse=True)
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Which servers were asked, with which token."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    found: list[tuple[str, str]] = []

    def call(self: ApiClient, query: str, variables: object = None) -> dict[str, Any]:
        found.append((self.url, self.token))
        if "teams {" in query and "me" not in query:
            return {"teams": []}
        return {"me": {"subject": "fiona"}, "teams": []}

    monkeypatch.setattr(ApiClient, "call", call)
    return found


def login(url: str, token: str, *more: str) -> None:
    done = run("login", url, "--token", token, *more)
    assert done.exit_code == 0, done.output


def test_a_login_is_kept_for_the_user_alone(asked: list[tuple[str, str]]) -> None:
    login(A, "secret")
    assert stat.S_IMODE(profiles_file().stat().st_mode) == 0o600
    run("team", "list")
    assert asked == [(A, "secret"), (A, "secret")]
    assert "secret" not in run("profile", "list", "--output", "json").stdout


def test_a_token_that_is_refused_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    from coe.errors import Unauthenticated  # noqa: PLC0415  # raised below

    def refuse(*_: object) -> None:
        raise Unauthenticated

    monkeypatch.setattr(ApiClient, "call", refuse)
    assert run("login", A, "--token", "wrong").exit_code == 5
    assert not profiles_file().exists()


def test_the_token_is_asked_and_not_shown(asked: list[tuple[str, str]]) -> None:
    done = run("login", A, stdin="typed\n")
    assert done.exit_code == 0, done.output
    assert asked == [(A, "typed")]
    assert "typed" not in done.output


def test_profiles_are_chosen_by_option_variable_and_use(asked: list[tuple[str, str]]) -> None:
    login(A, "a", "--profile", "one")
    login(B, "b", "--profile", "two")
    run("profile", "use", "two")
    asked.clear()
    run("team", "list")
    run("team", "list", "--profile", "one")
    run("--profile", "one", "team", "list")
    run("team", "list", COE_PROFILE="one")
    run("profile", "use", "one")
    run("team", "list")
    assert asked == [(B, "b"), (A, "a"), (A, "a"), (A, "a"), (A, "a")]
    assert run("team", "list", "--profile", "three").exit_code == 6
    assert run("profile", "use", "three").exit_code == 6


def test_options_win_over_variables_and_these_over_the_profile(
    asked: list[tuple[str, str]],
) -> None:
    login(A, "a")
    asked.clear()
    run("team", "list", COE_URL=B, COE_TOKEN="v")
    run("team", "list", "--url", "http://c.example", "--token", "o", COE_URL=B, COE_TOKEN="v")
    run("team", "list", COE_TOKEN="v")
    assert asked == [(B, "v"), ("http://c.example", "o"), (A, "v")]


def test_a_token_is_never_sent_to_another_server(asked: list[tuple[str, str]]) -> None:
    login(A, "a")
    asked.clear()
    done = run("team", "list", COE_URL=B)
    assert done.exit_code == 5
    assert f"for {A} only" in done.stderr
    assert asked == []


def test_authorities_are_kept_with_the_profile_and_not_used_elsewhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = Authority(tmp_path).file
    used: list[Path | None] = []

    def call(self: ApiClient, *_: object) -> dict[str, Any]:
        used.append(self.ca_file)
        return {"me": {"subject": "fiona"}, "teams": []}

    monkeypatch.setattr(ApiClient, "call", call)
    monkeypatch.chdir(tmp_path)
    login("https://a.example", "a", "--ca-file", file.name)
    monkeypatch.chdir("/")
    run("team", "list")
    run("team", "list", COE_URL=B, COE_TOKEN="v")
    other = tmp_path / "other.pem"
    other.write_bytes(file.read_bytes())
    run("team", "list", COE_CA_FILE=str(other))
    assert used == [file, file, None, other]


def test_a_file_without_authorities_is_named(tmp_path: Path) -> None:
    for name in ("none.pem", "empty.pem"):
        (tmp_path / "empty.pem").write_text("")
        done = run("login", A, "--token", "a", "--ca-file", str(tmp_path / name))
        assert done.exit_code == 2
        assert str(tmp_path / name) in done.stderr
    assert not profiles_file().exists()


def test_a_server_that_is_reached_in_clear_is_noted(asked: list[tuple[str, str]]) -> None:
    assert "in clear" in run("login", A, "--token", "a").stderr
    assert "in clear" not in run("login", "https://a.example", "--token", "a").stderr
    assert "in clear" not in run("login", "http://127.0.0.1:8700", "--token", "a").stderr


def test_a_logout_forgets_the_token() -> None:
    login(A, "a", "--profile", "one")
    login(B, "b", "--profile", "two")
    run("profile", "use", "two")
    done = run("logout", "--output", "json")
    assert json.loads(done.stdout)["current"] is None
    assert "coe profile use one" in done.stderr
    assert '"b"' not in profiles_file().read_text()
    refused = run("team", "list")
    assert (refused.exit_code, "coe profile use one" in refused.stderr) == (5, True)
    assert run("logout", "--profile", "two").exit_code == 6
    run("logout", "--all")
    assert run("team", "list").exit_code == 5


@pytest.mark.parametrize("profile", ["other", "other.example_2"])
def test_a_login_as_another_changes_who_one_is_only_when_asked(
    profile: str, asked: list[tuple[str, str]]
) -> None:
    login(A, "a")
    done = run("login", B, "--token", "b", "--profile", profile)
    assert f"coe profile use {profile}" in done.stderr
    asked.clear()
    run("team", "list")
    assert asked == [(A, "a")]


@pytest.mark.parametrize("name", ["", "../x", "a\x1b[31m", "a b", "-x"])
def test_a_profile_has_a_name(name: str) -> None:
    for arguments in (["--profile", name, "login", A], ["login", A, "--profile", name]):
        done = run(*arguments, "--token", "a")
        assert (done.exit_code, profiles_file().exists()) == (2, False)
        assert "--profile" in done.stderr


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{",
        '{"profiles": {"x": 1}}',
        "[" * 5000,
        '{"profiles": {"default": {"url": 1, "token": 2}}, "current": "default"}',
        '{"profiles": {"x": {"url": "u", "token": null}}}',
        '{"profiles": {"x": {"url": "u", "token": "t", "ca_file": 1}}}',
        '{"profiles": {}, "current": 1}',
    ],
    ids=range(9),
)
def test_a_damaged_file_is_named(content: str) -> None:
    profiles_file().parent.mkdir(parents=True)
    profiles_file().touch(mode=0o600)
    profiles_file().write_text(content)
    done = run("team", "list")
    assert done.exit_code == 1
    assert str(profiles_file()) in done.stderr


def test_a_file_that_others_may_read_is_refused() -> None:
    login(A, "a")
    profiles_file().chmod(0o644)
    done = run("team", "list")
    assert done.exit_code == 1
    assert f"chmod 600 {profiles_file()}" in done.stderr
