"""Where settings come from, what of them is shown, and what is told of names that are none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import SecretStr

from coe.audit.sinks.configured import open_sinks
from coe.cli import ci
from coe.errors import Severity
from coe.installation.configuration import (
    GUARDS,
    invalid_settings,
    shown_settings,
    unknown_settings,
)
from coe.settings import Settings, read_settings
from coe.settings.sources import SECRETS, SettingRefused
from tests.cli.commands import run

URL = "postgresql://coe:winterstein@db.example/coe?sslmode=disable"


@pytest.fixture(autouse=True)
def _empty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def written(path: Path, text: str, mode: int = 0o600) -> str:
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def value_of(name: str) -> str:
    """A valid value of a secret."""
    return URL if name.endswith("database_url") else "winterstein"


@pytest.mark.parametrize("name", sorted(SECRETS))
def test_each_secret_may_be_a_file(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variable = f"COE_{name.upper()}"
    file = written(tmp_path / "secret", f"{value_of(name)}\n")
    monkeypatch.setenv(f"{variable}_FILE", file)
    found = getattr(read_settings(), name)
    assert (found.get_secret_value() if isinstance(found, SecretStr) else found) == value_of(name)
    [shown] = [each for each in shown_settings() if each.name == variable]
    assert shown.source == file
    assert "winterstein" not in str(shown.value)
    assert unknown_settings() == []
    monkeypatch.setenv(variable, value_of(name))
    with pytest.raises(SettingRefused, match=f"{variable} and {variable}_FILE are both given"):
        read_settings()
    [problem] = invalid_settings()
    assert "winterstein" not in problem.message


def test_the_same_holds_for_a_settings_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = written(tmp_path / "secret", "winterstein")
    config = Path(written(tmp_path / "coe.env", f"COE_PREFECT_AUTH_FILE={secret}\nCOE_PORT=1\n"))
    auth = read_settings(config).prefect_auth
    assert auth is not None
    assert auth.get_secret_value() == "winterstein"
    monkeypatch.setenv("COE_PREFECT_AUTH", "another")
    with pytest.raises(SettingRefused, match="COE_PREFECT_AUTH_FILE"):
        read_settings(config)


@pytest.mark.parametrize(
    ("mode", "content", "told"),
    [(0o644, b"x", "mode 0644"), (0o600, b"\xff", "is not text"), (None, b"", "cannot be read")],
    ids=["readable by others", "not text", "missing"],
)
def test_a_file_that_cannot_be_used_is_named(
    mode: int | None,
    content: bytes,
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = tmp_path / "secret"
    if mode is not None:
        file.write_bytes(content)
        file.chmod(mode)
    monkeypatch.setenv("COE_TOKEN_FILE", str(file))
    with pytest.raises(SettingRefused, match=f"COE_TOKEN_FILE: {file}.*{told}"):
        read_settings()
    done = run("flow", "show", "sales/x", COE_TOKEN_FILE=str(file))
    assert done.exit_code == 1
    assert told in done.stderr


def test_what_is_secret_and_what_protects_are_settings() -> None:
    typed = {
        name for name, each in Settings.model_fields.items() if "SecretStr" in str(each.annotation)
    }
    urls = {name for name in Settings.model_fields if "database_" in name and name.endswith("_url")}
    assert typed | urls == SECRETS
    assert set(Settings.model_fields) >= GUARDS
    assert {name for name in Settings.model_fields if name.startswith("tls_")} <= GUARDS


@pytest.mark.parametrize(
    ("name", "severity", "meant"),
    [
        ("COE_TLS_CERT_FIEL", Severity.ERROR, "COE_TLS_CERT_FILE"),
        ("COE_TRUSTED_PROXY", Severity.ERROR, "COE_TRUSTED_PROXIES"),
        ("COE_SEALER_DATABASE_URL_FIL", Severity.ERROR, "COE_SEALER_DATABASE_URL_FILE"),
        ("COE_LOG_LEVL", Severity.WARNING, "COE_LOG_LEVEL"),
        ("COE_SOMETHING_ELSE", Severity.WARNING, None),
    ],
)
def test_a_name_that_is_no_setting_is_told(
    name: str, severity: Severity, meant: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "x")
    [problem] = unknown_settings()
    assert (problem.path, problem.severity) == (name, severity)
    assert (problem.help == f"did you mean {meant}?") is (meant is not None)
    checked = run("config", "check", "--output", "json")
    assert checked.exit_code == 1
    assert [each["path"] for each in json.loads(checked.stdout)] == [name]
    shown = run("config", "show")
    assert shown.exit_code == 0
    assert name in shown.stderr
    started = run("key", "new", "--to", "keys")
    assert started.exit_code == (1 if severity is Severity.ERROR else 0)
    assert name in started.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("COE_API_SERVICE_HOST", "10.0.0.1"),
        ("COE_API_SERVICE_PORT_HTTP", "8700"),
        ("COE_API_PORT", "tcp://10.0.0.1:8700"),
        ("COE_API_PORT_8700_TCP_ADDR", "10.0.0.1"),
        ("COE_CONFIG", ""),
        ("COE_PROFILE", "demo"),
        ("COE_RESOLVE__CRM", "http://127.0.0.1:1"),
    ],
)
def test_what_kubernetes_and_commands_have_is_not_told(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    assert unknown_settings() == []


def test_the_address_that_kubernetes_puts_into_a_setting_is_explained(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COE_PORT", "tcp://10.0.0.1:8700")
    [problem] = invalid_settings()
    assert problem.path == "COE_PORT"
    assert "enableServiceLinks" in problem.message


def test_every_setting_is_shown_with_its_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = written(
        tmp_path / "coe.env",
        f"COE_DATABASE_URL={URL}&password=winterstein\nCOE_PORT=1\nCOE_WORKER_LIMIT=3\n",
    )
    monkeypatch.setenv("COE_PORT", "8701")
    monkeypatch.setenv("COE_RESOLVE", '{"crm.example": "http://me:winterstein@127.0.0.1:1"}')
    given = {"COE_TOKEN": "winterstein"}
    done = run("config", "show", "--config", config, "--output", "json", **given)
    assert "winterstein" not in done.stdout
    shown = {each["name"]: each for each in json.loads(done.stdout)}
    assert list(shown) == [f"COE_{name.upper()}" for name in Settings.model_fields]
    assert all(each["meaning"] and "](" not in each["meaning"] for each in shown.values())
    found = {name: (each["value"], each["from"]) for name, each in shown.items()}
    hidden = "postgresql://coe:***@db.example/coe?sslmode=disable&password=***"
    assert found["COE_DATABASE_URL"] == (hidden, config)
    assert found["COE_PORT"] == (8701, "environment")
    assert found["COE_WORKER_LIMIT"] == (3, config)
    assert found["COE_TOKEN"] == ("***", "environment")
    assert found["COE_RESOLVE"][0] == {"crm.example": "http://me:***@127.0.0.1:1"}
    assert found["COE_HOST"] == ("127.0.0.1", "default")


@pytest.mark.parametrize("mark", ["/", "?", "#", "?a=1#"])
def test_a_password_that_should_have_been_encoded_is_hidden(
    monkeypatch: pytest.MonkeyPatch, mark: str
) -> None:
    monkeypatch.setenv("COE_PREFECT_URL", f"http://me:winter{mark}stein@prefect.example/api")
    shown = {each["name"]: each for each in json.loads(run("config", "show", "-o", "json").stdout)}
    assert shown["COE_PREFECT_URL"]["value"] == "***"


def test_all_that_is_invalid_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COE_PORT", "x")
    monkeypatch.setenv("COE_LEASE_SECONDS", "y")
    done = run("config", "check", "--output", "json")
    assert done.exit_code == 1
    assert {each["path"] for each in json.loads(done.stdout)} == {"COE_PORT", "COE_LEASE_SECONDS"}
    monkeypatch.setenv("COE_ALLOWED_HOSTS", "not json")
    assert run("config", "check").exit_code == 1
    assert run("config", "check", "--config", "nowhere.env").exit_code == 2


def test_a_client_of_a_ci_may_have_its_secret_in_a_file(tmp_path: Path) -> None:
    file = written(tmp_path / "secret", "winterstein\n")
    given = {"COE_CLIENT_ID": "x", "COE_CLIENT_SECRET_FILE": file}
    assert ci.is_here(given)
    assert not ci.is_here({"COE_CLIENT_SECRET_FILE": file})
    assert ci._with_files(given)["COE_CLIENT_SECRET"] == "winterstein"


@pytest.mark.parametrize("name", ["CHANNELS", "SECRETS", "ISSUERS", "CHECKPOINT_SINKS"])
def test_the_files_that_settings_name_are_read(name: str, tmp_path: Path) -> None:
    variable, key = f"COE_{name}_FILE", name.rpartition("_")[2].lower()
    missing = run("config", "check", **{variable: str(tmp_path / "none")})
    assert missing.exit_code == 1
    assert f"{tmp_path / 'none'}: the file cannot be read" in missing.output.replace("\n", "")
    wrong = written(tmp_path / "wrong", f"{key}: {{a: {{token: winterstein}}}}")
    checked = run("config", "check", "--output", "json", **{variable: wrong})
    assert checked.exit_code == 1
    assert [each["path"] for each in json.loads(checked.stdout)] == [variable]
    assert "winterstein" not in checked.output
    right = written(tmp_path / "right", f"{key}: {{}}")
    assert run("config", "check", **{variable: right}).exit_code == 0


@pytest.mark.parametrize("text", ["", "# none yet\n", "sinks:\n", "sinks: {}\n"])
def test_an_empty_file_of_sinks_names_none(text: str, tmp_path: Path) -> None:
    assert open_sinks(Path(written(tmp_path / "sinks.yaml", text))) == []
