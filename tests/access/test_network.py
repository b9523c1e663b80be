"""Network lines: what one may say, and which addresses it opens."""

from __future__ import annotations

import ipaddress
import shutil
from pathlib import Path

import pytest

from coe.access.files import read_files
from coe.access.load import load_access_files
from coe.access.network import Network, NetworkLine, is_public
from coe.access.policy import Policy
from coe.access.policy_store import PolicyStore
from coe.access.records import PolicyRecord, RuleRecord
from coe.db import Database
from coe.errors import Invalid

ROOT = Path(__file__).resolve().parents[2]


def network(*lines: str) -> Network:
    return Network(NetworkLine.of(line.split()) for line in lines)


def allows(lines: Network, target: str, *, team: str = "sales", host: str = "erp.corp") -> bool:
    address, _, port = target.rpartition("@")
    return lines.allows(team, host, int(port), ipaddress.ip_address(address))


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("100.64.0.1", False),
        ("169.254.1.1", False),
        ("168.63.129.16", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("2606:2800:220:1::1", True),
        ("::", False),
        ("::1", False),
        ("fe80::1", False),
        ("fd00::1", False),
        ("ff02::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:93.184.216.34", True),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b::5db8:d822", True),
        ("2002:7f00:1::", False),
        ("2001:0:4136:e378:8000:63bf:80ff:fffe", False),
        ("::127.0.0.1", False),
        ("::ffff:0:127.0.0.1", False),
        ("64:ff9b:1::7f00:1", False),
        ("fec0::1", False),
    ],
)
def test_which_addresses_are_public(address: str, public: bool) -> None:  # noqa: FBT001  # a table
    assert is_public(ipaddress.ip_address(address)) is public


def test_without_lines_nothing_private_is_reached() -> None:
    assert allows(Network(), "93.184.216.34@443")
    assert not allows(Network(), "10.0.0.1@443")
    assert not allows(Network(), "127.0.0.1@80")


def test_a_line_opens_a_network_for_a_team_a_name_and_a_port() -> None:
    lines = network("sales erp.corp 10.20.0.0/16 443")
    assert allows(lines, "10.20.3.4@443")
    assert allows(lines, "::ffff:10.20.3.4@443")
    assert allows(lines, "10.20.3.4@443", host="ERP.corp.")
    assert not allows(lines, "10.20.3.4@8443")
    assert not allows(lines, "10.21.3.4@443")
    assert not allows(lines, "10.20.3.4@443", team="finance")
    assert not allows(lines, "10.20.3.4@443", host="other.corp")


def test_stars_stand_for_any_team_name_below_or_port() -> None:
    assert allows(network("* * 10.20.0.0/16 *"), "10.20.3.4@9", team="")
    below = network("sales *.corp 10.20.0.0/16 *")
    assert allows(below, "10.20.3.4@443", host="a.b.corp")
    assert not allows(below, "10.20.3.4@443", host="corp")
    assert not allows(below, "10.20.3.4@443", host="evilcorp")


@pytest.mark.parametrize(
    ("address", "wide"),
    [("100.100.100.200", "100.64.0.0/10"), ("fd00:ec2::254", "fd00::/8")],
)
def test_credentials_of_clouds_are_reached_only_where_named_exactly(
    address: str, wide: str
) -> None:
    assert not allows(network(f"* * {wide} *"), f"{address}@80")
    prefix = 128 if ":" in address else 32
    assert allows(network(f"* * {address}/{prefix} *"), f"{address}@80")


def test_link_local_addresses_are_named_one_by_one() -> None:
    with pytest.raises(ValueError, match="link-local"):
        NetworkLine.of(("*", "*", "169.254.0.0/16", "*"))
    exact = network("sales meta.corp 169.254.169.254/32 80")
    assert allows(exact, "169.254.169.254@80", host="meta.corp")
    assert not allows(exact, "169.254.169.253@80", host="meta.corp")


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "224.0.0.1", "240.0.0.1", "64:ff9b::a00:1"])
def test_what_no_line_can_open(address: str) -> None:
    wide = network("* * 10.0.0.0/8 *", "* * 127.0.0.0/8 *", "* * fc00::/7 *", "* * ::1/128 *")
    assert not allows(wide, f"{address}@80")
    with pytest.raises(ValueError, match="is in none of"):
        NetworkLine.of(("*", "*", f"{address}/{128 if ':' in address else 32}", "*"))


@pytest.mark.parametrize(
    "fields",
    [
        ("sales", "erp.corp", "10.0.0.0/8"),
        ("Sales", "erp.corp", "10.0.0.0/8", "443"),
        ("sales", "erp corp", "10.0.0.0/8", "443"),
        ("sales", "*erp", "10.0.0.0/8", "443"),
        ("sales", "erp.corp", "10.0.0.1/8", "443"),
        ("sales", "erp.corp", "0.0.0.0/0", "443"),
        ("sales", "erp.corp", "93.184.216.0/24", "443"),
        ("sales", "erp.corp", "10.0.0.0/8", "0"),
        ("sales", "erp.corp", "10.0.0.0/8", "65536"),
        ("sales", "erp.corp", "10.0.0.0/8", ""),
    ],
)
def test_lines_that_are_refused(fields: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"network line|is in none of"):
        NetworkLine.of(fields)


def test_an_invalid_stored_line_opens_nothing() -> None:
    rows = PolicyRecord(network=(RuleRecord(("*", "*", "0.0.0.0/0", "*"), None, "x:1"),))
    assert Policy(rows).network.lines == ()


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "policies", tmp_path / "policies")
    shutil.copytree(ROOT / "catalog" / "teams", tmp_path / "catalog" / "teams")
    return tmp_path


async def test_the_file_reaches_the_policy_as_a_new_version(database: Database, copy: Path) -> None:
    store = PolicyStore()
    file = copy / "policies" / "network.csv"
    async with database.session() as session:
        first = await load_access_files(session, copy)
        before = await store.current(session)
        file.write_text("# The printer.\nn, sales, printer.corp, 192.168.7.7/32, 631\n")
        second = await load_access_files(session, copy)
        after = await store.current(session)
        assert (second.changed, second.version) == (True, first.version + 1)
        assert {str(line) for line in before.network.lines} >= {
            "n, warehouse, wms.acme.example, 10.20.0.0/16, 443"
        }
        [line] = after.network.lines
        assert str(line) == "n, sales, printer.corp, 192.168.7.7/32, 631"
        assert (line.note, line.source) == ("The printer.", "policies/network.csv:2")
        file.unlink()
        assert (await load_access_files(session, copy)).changed
        assert (await store.current(session)).network.lines == ()


def test_problems_of_the_file_have_their_line(copy: Path) -> None:
    (copy / "policies" / "network.csv").write_text(
        "n, sales, a.corp, 10.0.0.0/8, 443\n"
        "\n# Why.\n"
        "n, sale, a.corp, 10.0.0.0/8, 443\n"
        "n, sales, a.corp, 10.0.0.0/8, 443\n"
        "n, sales, a.corp, 8.8.8.8/32, 443\n"
        "p, sales, a.corp, 10.0.0.0/8, 443\n"
    )
    with pytest.raises(Invalid) as caught:
        read_files(copy)
    by_line = {problem.line: problem for problem in caught.value.problems}
    assert set(by_line) == {1, 4, 5, 6, 7}
    assert "reason" in by_line[1].message
    assert by_line[4].help is not None
    assert by_line[4].help.startswith("did you mean sales?")
