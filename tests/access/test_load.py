"""Loading: the database has what the files have, also after a change, and never half of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from sqlalchemy import func, select

from coe.access.files import read_files
from coe.access.load import load_access_files, renew_version
from coe.access.models import Membership, PolicyRule, PolicyState, Team
from coe.access.policy_store import PolicyStore
from coe.db import Database
from coe.errors import Invalid

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the shipped files, to be changed."""
    shutil.copytree(ROOT / "policies", tmp_path / "policies")
    shutil.copytree(ROOT / "catalog" / "teams", tmp_path / "catalog" / "teams")
    return tmp_path


def replace(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


async def test_loading_again_changes_nothing(database: Database) -> None:
    async with database.session() as session:
        first = await load_access_files(session, ROOT)
        ids = set(await session.scalars(select(PolicyRule.id)))
        second = await load_access_files(session, ROOT)
        assert not second.changed
        assert second.version == first.version
        assert set(await session.scalars(select(PolicyRule.id))) == ids
        files = read_files(ROOT)
        assert len(ids) == len(files.lines) + len(files.network) + len(files.approvals)


async def test_a_change_of_a_file_reaches_the_policy(database: Database, copy: Path) -> None:
    store = PolicyStore()
    async with database.session() as session:
        await load_access_files(session, copy)
        before = await store.current(session)
        team_ids = dict((await session.execute(select(Team.slug, Team.id))).all())
        replace(copy / "catalog/teams/finance.yaml", "[finance-approver, lead]", "[lead]")
        (copy / "catalog/teams/audit.yaml").unlink()
        replace(
            copy / "policies/rules/audit.csv",
            "p, coe/lead, *, audit:read, *, allow",
            "p, coe/reviewer, *, audit:read, *, allow",
        )
        loaded = await load_access_files(session, copy)
        after = await store.current(session)

        assert loaded.changed
        assert after.version != before.version
        assert before.holds("finance-lead", "finance/finance-approver")
        assert not after.holds("finance-lead", "finance/finance-approver")
        assert before.roles("auditor")
        assert not after.roles("auditor")
        assert dict((await session.execute(select(Team.slug, Team.id))).all()) == team_ids
        assert {line.subject for line in after.lines("audit:read")} == {
            "audit/auditor",
            "coe/reviewer",
        }


async def test_rows_of_another_origin_stay(database: Database) -> None:
    async with database.session() as session:
        session.add(
            Membership(
                team="sales", subject="temp", display_name="T", roles=["operator"], origin="api"
            )
        )
        session.add(
            PolicyRule(
                ptype="p",
                fields=["operator", "sales", "audit:verify", "*", "allow"],
                source="api",
                origin="api",
            )
        )
        await session.flush()
        assert (await renew_version(session)).changed
        assert not (await load_access_files(session, ROOT)).changed
        policy = await PolicyStore().current(session)
        assert policy.roles("temp") == {("operator", "sales")}
        assert "operator" in {line.subject for line in policy.lines("audit:verify")}


async def test_a_changed_comment_is_a_new_version(database: Database, copy: Path) -> None:
    async with database.session() as session:
        await load_access_files(session, copy)
        replace(copy / "policies/rules/audit.csv", "# A proof contains", "# Here a proof contains")
        assert (await load_access_files(session, copy)).changed


async def test_problems_are_located_and_nothing_is_changed(database: Database, copy: Path) -> None:
    rules = copy / "policies/rules/runs.csv"
    lines = rules.read_text().splitlines()
    number = len(lines)
    rules.write_text(
        "\n".join(
            [
                *lines,
                "p, process-ownr, *, run:start, INTERNAL, allow",
                "p, lead, *, run:stop, *, allow",
                "p, lead, *, run:start, SECRET, allow",
                "p, lead, , run:cancel, *, allow",
                "p, lead, *, run:start, *, allow",
                "g, outsider, lead, sales",
                "p, lead, *, run:start, *",
                'p, "lead", *, run:start, *, "allow',
            ]
        )
    )
    replace(copy / "catalog/teams/sales.yaml", "subject: sales-owner", "subject: sales,owner")
    replace(copy / "catalog/teams/finance.yaml", "team: finance", "team: finanz")
    replace(copy / "catalog/teams/coe.yaml", "[executor]", "[executer]")
    (copy / "catalog/teams/warehouse.yaml").write_text("kind: Team\nteam: [")
    async with database.session() as session:
        before = await session.scalar(select(PolicyState.version))
        with pytest.raises(Invalid) as caught:
            await load_access_files(session, copy)
        found = {(p.path, p.line): p for p in caught.value.problems}
        assert await session.scalar(select(PolicyState.version)) == before
        assert await session.scalar(select(func.count()).select_from(Team)) == 6

    area = "policies/rules/runs.csv"
    for offset, part in enumerate(
        [
            "there is no role 'process-ownr'",
            "'run:stop' is not a permission",
            "'SECRET' is not a data class",
            "the team is empty",
            "already has it",
            "a line begins with p",
            "has 5 fields",
            "not a line of CSV",
        ],
        start=1,
    ):
        problem = found[area, number + offset]
        assert part in problem.message
        assert problem.message.startswith(f"{area}:{number + offset}: ")
    assert "did you mean process-owner?" in (found[area, number + 1].help or "")
    assert "members.0.subject" in found["catalog/teams/sales.yaml", 7].message
    assert "is finanz.yaml" in found["catalog/teams/finance.yaml", 2].message
    executer = next(
        i
        for i, line in enumerate((copy / "catalog/teams/coe.yaml").read_text().splitlines(), 1)
        if "executer" in line
    )
    assert "'executer'" in found["catalog/teams/coe.yaml", executer].message
    assert any(path == "catalog/teams/warehouse.yaml" for path, _ in found)
    assert len(caught.value.problems) == 12


async def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(Invalid) as caught:
        read_files(tmp_path)
    assert {p.path for p in caught.value.problems} == {
        "policies/model.conf",
        "policies/roles.yaml",
        "policies/rules",
        "catalog/teams",
    }


async def test_a_person_cannot_pass_as_a_service(copy: Path) -> None:
    replace(
        copy / "catalog/teams/sales.yaml", "subject: sales-owner", "subject: service:worker/finance"
    )
    with pytest.raises(Invalid) as caught:
        read_files(copy)
    assert "must be a person" in caught.value.problems[0].message


async def test_a_comment_explains_its_block_only(copy: Path) -> None:
    notes = {str(line): line.note for line in read_files(copy).lines}
    assert (
        notes["p, kind:person, *, run:report, *, deny"]
        == "No person may report results of a run that it did not produce."
    )
    assert notes["p, process-owner, *, run:read_data, *, allow"] == (
        "Input, output and errors contain data of customers: they are for the owner of the "
        "process, and for the services that execute it. Each reading is recorded."
    )
