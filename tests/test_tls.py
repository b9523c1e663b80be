"""How a database is verified by its URL, and what goes over a network in clear."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from coe.settings import Settings
from coe.tls import (
    NotAuthorities,
    client_context,
    in_clear,
    is_verified,
    public_authorities,
    sslmode,
    verified_database_url,
)

FAR = "postgresql://coe:p%40ss@db.example:5432/coe"
OWN = Path("/etc/own ca.pem")


@pytest.mark.parametrize(
    ("url", "mode", "verified"),
    [
        ("postgresql://coe@127.0.0.1:5432/coe", None, True),
        ("postgresql://coe@localhost/coe?sslmode=disable", "disable", True),
        ("postgresql://coe@/coe?host=/run/postgresql", None, True),
        ("postgresql://coe@[::1]:5432/coe", None, True),
        (FAR, "verify-full", True),
        ("postgresql+asyncpg://coe@db.example/coe", "verify-full", True),
        ("postgresql://coe@/coe?host=db.example", "verify-full", True),
        ("postgresql://coe@127.0.0.1:5432,db.example:5433/coe", "verify-full", True),
        (f"{FAR}?sslmode=verify-ca", "verify-ca", True),
        (f"{FAR}?sslmode=require", "require", False),
        (f"{FAR}?sslmode=prefer", "prefer", False),
        (f"{FAR}?sslmode=disable", "disable", False),
    ],
)
def test_a_database_on_another_machine_is_verified_unless_its_url_says_otherwise(
    url: str, mode: str | None, *, verified: bool
) -> None:
    assert (sslmode(url), is_verified(url)) == (mode, verified)
    assert sslmode(verified_database_url(url)) == mode


@pytest.mark.parametrize(
    ("given", "ca_file", "query"),
    [
        ("", OWN, "sslmode=verify-full&sslrootcert=/etc/own%20ca.pem"),
        ("", None, f"sslmode=verify-full&sslrootcert={public_authorities()}"),
        ("?sslrootcert=system", OWN, f"sslrootcert={public_authorities()}&sslmode=verify-full"),
        ("?sslrootcert=/db.pem", OWN, "sslrootcert=/db.pem&sslmode=verify-full"),
        ("?sslmode=verify-ca", OWN, "sslmode=verify-ca&sslrootcert=/etc/own%20ca.pem"),
        ("?sslmode=require", OWN, "sslmode=require"),
    ],
)
def test_the_authorities_of_a_database(given: str, ca_file: Path | None, query: str) -> None:
    made = verified_database_url(FAR + given, ca_file)
    assert made == f"{FAR}?{query}"
    assert verified_database_url(made) == made


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("sslmode=verified", "sslmode=verified: it is one of allow, disable"),
        ("sslrootcert=/nowhere.pem", "sslrootcert=/nowhere.pem: there is no such file"),
        ("ssl=true", "write sslmode=… as libpq does"),
    ],
)
def test_a_url_that_cannot_be_meant_is_refused_by_the_name_of_its_setting(
    query: str, message: str
) -> None:
    for name in ("database_url", "migrate_database_url", "sealer_database_url"):
        with pytest.raises(ValidationError, match=message) as refused:
            Settings(**{name: f"{FAR}?{query}"})
        assert refused.value.errors()[0]["loc"] == (name,)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (f"{FAR}?host=localhost", "keep one of them"),
        (f"{FAR}?sslmode=prefer&host=/run/postgresql", "keep one of them"),
        ("postgresql://coe@/coe?service=far", "service=…"),
        (f"{FAR}?service=far", "service=…"),
        ("postgresql://coe@db.example#@localhost/coe", "write %23"),
        (f"{FAR}?#&host=localhost", "write %23"),
        ("postgresql://coe:a@db.example,b@localhost/coe", "write %40"),
    ],
)
def test_a_url_that_a_driver_could_read_as_another_host_is_refused(url: str, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Settings(database_url=url)


@pytest.mark.parametrize(
    ("host", "mode"),
    [
        ("db.example", "verify-full"),
        ("localhost,db.example", "verify-full"),
        ("localhost", None),
        ("/run/postgresql", None),
        ("", None),
    ],
)
def test_without_a_host_in_the_url_the_one_of_the_environment_counts(
    monkeypatch: pytest.MonkeyPatch, host: str, mode: str | None
) -> None:
    monkeypatch.setenv("PGHOST", host)
    url = "postgresql://coe@/coe"
    assert sslmode(Settings(database_url=url).serving_url) == mode
    assert sslmode("postgresql://coe@localhost/coe") is None
    monkeypatch.setenv("PGSERVICE", "far")
    with pytest.raises(ValidationError, match="PGSERVICE is set"):
        Settings(database_url=url)
    Settings(database_url=FAR)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://coe:winterstein@coe.example:8700/api?token=winterstein", "coe.example:8700"),
        ("http://coe:winter/stein@coe.example", "***"),
        ("http://winterstein#@coe.example", "***"),
        ("http://winterstein?@coe.example", "***"),
    ],
)
def test_a_note_shows_of_an_address_the_scheme_and_the_host(url: str, shown: str) -> None:
    (note,) = Settings(url=url).unprotected("url")
    assert f"what is sent to http://{shown} can be read" in note
    assert "winter" not in note


def test_what_is_unprotected_is_named() -> None:
    made = Settings(
        database_url=f"{FAR}?sslmode=require",
        sealer_database_url=FAR,
        prefect_url="http://prefect.example:4200/api",
        url="https://coe.example",
    )
    found = made.unprotected("database_url", "sealer_database_url", "prefect_url", "url")
    assert [each.partition(":")[0] for each in found] == ["COE_DATABASE_URL", "COE_PREFECT_URL"]
    assert "p%40ss" not in "".join(found)


@pytest.mark.parametrize(
    ("url", "clear"),
    [
        ("http://127.0.0.1:8700", False),
        ("http://[::1]:8700", False),
        ("https://coe.example", False),
        ("http://coe.example", True),
        ("http://127.0.0.1.example", True),
    ],
)
def test_what_can_be_read_on_the_way(url: str, *, clear: bool) -> None:
    assert in_clear(url) is clear


@pytest.mark.parametrize(
    ("given", "refused"),
    [
        ({"host": "0.0.0.0"}, True),
        ({"host": "10.1.2.3"}, True),
        ({"host": "::"}, True),
        ({"host": "coe.example"}, True),
        ({"host": "127.0.0.1"}, False),
        ({"host": "::1"}, False),
        ({"host": "0.0.0.0", "trusted_proxies": ("10.0.0.0/8",)}, False),
        ({"host": "0.0.0.0", "tls_cert_file": "a.crt", "tls_key_file": "a.key"}, False),
    ],
)
def test_the_api_listens_in_clear_on_this_machine_or_behind_a_proxy(
    given: dict[str, object], *, refused: bool
) -> None:
    assert Settings(**given).listens_in_clear is refused


@pytest.mark.parametrize("name", ["tls_cert_file", "tls_key_file"])
def test_a_certificate_and_its_key_go_together(name: str) -> None:
    with pytest.raises(ValidationError, match="go together"):
        Settings(**{name: "one.pem"})


def test_a_file_without_authorities_is_named(tmp_path: Path) -> None:
    file = tmp_path / "empty.pem"
    with pytest.raises(NotAuthorities, match="No such file"):
        client_context(file)
    file.write_text("none")
    with pytest.raises(NotAuthorities, match="no certificates of authorities"):
        client_context(file)
