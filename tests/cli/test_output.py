"""What commands print: tables that fit a terminal, data for programs, progress, completion."""

from __future__ import annotations

import json
import sys

import click
import pytest
import yaml

from coe.cli.main import PROGRAM, cli
from coe.cli.output import Result, Table, printed
from coe.cli.pages import Page, fetch
from coe.cli.progress import progress
from coe.cli.terminal import print_folded
from tests.cli.commands import run

ROWS = [
    {"ref": "sales/order-to-cash@1.0.0", "title": "From an order to the money " * 4, "n": 1},
    {"ref": "sales/x", "title": "\x1b[31mred\x07\nline", "n": None},
]


@click.command()
@printed("csv")
def rows() -> Result:
    return Result(
        ROWS, Table(ROWS, ["ref", "title", "n"]), ["a note"], formats={"csv": lambda: "a,b"}
    )


@pytest.mark.parametrize("width", [40, 60, 100])
def test_a_table_is_folded_to_the_terminal(width: int, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [["REF", "TITLE"], *([row["ref"], row["title"]] for row in ROWS[:1])]
    print_folded([[str(cell) for cell in line] for line in lines], width=width)
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= width
    whole = "".join(shown.split())
    assert all(word in whole for word in ("REF", "money"))
    assert "…" not in shown


def test_elsewhere_the_lines_of_a_table_are_whole() -> None:
    done = click.testing.CliRunner().invoke(rows)
    first, *lines = done.stdout.splitlines()
    assert first.split() == ["REF", "TITLE", "N"]
    assert str(ROWS[0]["title"]).strip() in lines[0]
    assert len(lines) == len(ROWS)
    assert "\x1b" not in done.stdout
    assert "\x07" not in done.stdout
    assert done.stderr == "a note\n"


def test_data_is_the_same_in_json_and_yaml() -> None:
    runner = click.testing.CliRunner()
    assert json.loads(runner.invoke(rows, ["-o", "json"]).stdout) == ROWS
    assert yaml.safe_load(runner.invoke(rows, ["-o", "yaml"]).stdout) == ROWS
    assert runner.invoke(rows, ["-o", "csv"]).stdout == "a,b"
    assert runner.invoke(rows, ["-o", "xml"]).exit_code == 2


def test_the_format_is_given_before_the_noun_or_after_the_verb() -> None:
    before = run("--output", "json", "profile", "list")
    after = run("profile", "list", "--output", "json")
    assert json.loads(before.stdout) == json.loads(after.stdout)
    both = run("--output", "yaml", "profile", "list", "--output", "json")
    assert json.loads(both.stdout) == json.loads(after.stdout)


def test_progress_is_silent_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("reading", 10) as advance:
        advance(5)
    assert capsys.readouterr() == ("", "")


def test_progress_is_shown_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    with progress("reading", 10, unit="items") as advance:
        advance(5)
    shown = capsys.readouterr()
    assert "reading items" in shown.err
    assert shown.out == ""


class Pages:
    """A list of three pages."""

    def pages(self, *_: object) -> object:
        for number in range(3):
            yield {
                "nodes": [{"n": number}],
                "totalCount": 3,
                "pageInfo": {"hasNextPage": number < 2, "endCursor": str(number)},
            }


def test_all_pages_are_read_on_request() -> None:
    one = fetch(Pages(), "", {}, Page(1, None, every=False), "x")  # type: ignore[arg-type]
    every = fetch(Pages(), "", {}, Page(1, None, every=True), "x")  # type: ignore[arg-type]
    assert [each["n"] for each in one["nodes"]] == [0]
    assert [each["n"] for each in every["nodes"]] == [0, 1, 2]
    assert every["pageInfo"]["hasNextPage"] is False


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_shell_completes_commands(shell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "_COE_COMPLETE" in run("completion", shell).stdout
    runner = click.testing.CliRunner()
    typed = {"COMP_WORDS": "coe task cl", "COMP_CWORD": "2"}
    if shell == "fish":
        typed = {"COMP_WORDS": "coe task cl", "COMP_CWORD": "cl"}
    done = runner.invoke(
        cli, prog_name=PROGRAM, env={"_COE_COMPLETE": f"{shell}_complete", **typed}
    )
    assert "claim" in done.output
    assert "release" not in done.output


def test_a_misspelt_noun_or_verb_gets_a_suggestion() -> None:
    noun, verb = run("rnu", "list"), run("run", "lst")
    assert (noun.exit_code, verb.exit_code) == (2, 2)
    assert "run" in noun.stderr
    assert "list" in verb.stderr
